"""The mutation benchmark's own parts: faults land where they should, and nothing is set aside without proof."""

import pytest

from benchmarks.mutants.faults import FaultClass, device_faults, launch_faults
from benchmarks.mutants.report import Outcome, Record, report
from benchmarks.mutants.subjects import example_subjects, library_subjects, raw_subjects, twin_subjects
from sandbox.values import Language

SOURCE = """
constexpr int kThreads = 64;
int host(int n) { return n + 1; }
extern "C" __global__ void k(const float* x, float* y, int rows, int cols) {
  __shared__ float box[kThreads + 1];
  float total = 0.0f;  // i < cols
  for (int i = threadIdx.x; i < cols; i += kThreads) total += x[blockIdx.x * cols + i] * 0.5f;
  __syncthreads();
  y[blockIdx.x] = __shfl_xor_sync(0xffffffffu, total, 4);
}
"""
LAUNCH = 'grid = ["cdiv(n, 64)"]\nblock = [64]\nargs = ["x", "y", { int32 = "n" }]\n'


def changed(kind, source=SOURCE):
    return {fault.applied(source) for fault in device_faults(source, "kernel.cu") if fault.kind is kind}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FaultClass.BARRIER, "* 0.5f;\n  ;\n"),
        (FaultClass.BOUND, "i <= cols;"),
        (FaultClass.BOUND, "i < (cols - 1);"),
        (FaultClass.INDEX, "x[blockIdx.x * rows + i]"),
        (FaultClass.INDEX, "x[blockIdx.x * cols]"),
        (FaultClass.INDEX, "i += (kThreads + 1)"),
        (FaultClass.OPERATOR, "total -= x"),
        (FaultClass.CONSTANT, "(0.5f * 1.003f)"),
        (FaultClass.INITIAL, "float total = 1.0f;"),
        (FaultClass.MASK, "0x0000ffffu"),
        (FaultClass.PRECISION, "total = __half2float(__float2half(total + ("),
        (FaultClass.TYPE, "int total = 0.0f;"),
        (FaultClass.TERM, "total += x[blockIdx.x * cols + i];"),
    ],
)
def test_each_family_makes_its_mistake(kind, text):
    assert any(text in faulty for faulty in changed(kind))


def test_nothing_outside_device_code_is_changed_and_every_fault_changes_something():
    for fault in device_faults(SOURCE, "kernel.cu"):
        faulty = fault.applied(SOURCE)
        assert faulty != SOURCE
        assert "return n + 1;" in faulty
        assert "box[kThreads + 1]" in faulty
        assert "// i < cols" in faulty


def test_launches_lose_their_last_block():
    faulty = [fault.applied(LAUNCH) for fault in launch_faults(LAUNCH, "launch.toml")]
    assert LAUNCH.replace("cdiv(n, 64)", "max((n) // 64, 1)") in faulty
    assert LAUNCH.replace('int32 = "n"', 'int32 = "n - 1"') in faulty


def test_there_are_more_than_forty_right_kernels_with_names_of_their_own():
    names = [subject.name for subject in (*raw_subjects(), *library_subjects(), *example_subjects(), *twin_subjects())]
    assert len(names) == len(set(names)) > 40


def record(outcome, before="a", *, passed_theirs=True):
    return Record(
        identifier=before,
        kernel="raw/k",
        task="relu",
        language=Language.RAW,
        kind=FaultClass.BOUND,
        operator="bound off by one",
        line=1,
        before=before,
        after="b",
        outcome=outcome,
        kernelbench_passed=passed_theirs,
    )


def test_the_report_counts_only_faults_and_lists_survivors():
    records = [record(Outcome.CAUGHT), record(Outcome.SURVIVED, "kept"), record(Outcome.SAME_PTX, "same")]
    text = report(records)
    assert "| all | 2 | 1 (50.0%) | 0 (0.0%) |" in text
    assert "- kept" in text
    assert "- same" not in text

"""Through the real sandbox and simulator: a right kernel passes, and a copy with one planted fault does not.

The right kernels are those of `examples/kernels`; `test_verifier_kernels.py` verifies all of them.
"""

from pathlib import Path

import pytest

from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from verifier.bench import bench
from verifier.values import Status, Verdict
from verifier.verify import verify

RIGHT = Path(__file__).parents[2] / "examples" / "kernels"
BROKEN = Path(__file__).with_name("broken")

FAULTS = {
    "relu": {Status.WRONG_VALUES},
    "gelu_tanh": {Status.WRONG_VALUES},
    "softmax": {Status.WRONG_VALUES},
    "log_softmax": {Status.DATA_RACE},
    "layernorm": {Status.WRONG_VALUES},
    "rmsnorm": {Status.MEMORY_ERROR},
    "matmul": {Status.DATA_RACE},
    "linear_bias_gelu": {Status.WRONG_VALUES},
    "row_sum": {Status.WRONG_VALUES},
    "cross_entropy": {Status.WRONG_VALUES},
    "residual_layernorm": {Status.MUTATED_INPUT},
    "softmax_backward": {Status.DATA_RACE},  # rows that overlap: two blocks write the same words
}


IN_EVERY_RUN = {"relu", "log_softmax", "rmsnorm", "residual_layernorm"}
"""One of each status; the others run in the corpus."""
BROKEN_COPIES = [slug if slug in IN_EVERY_RUN else pytest.param(slug, marks=pytest.mark.corpus) for slug in FAULTS]


def _candidate(path: Path) -> Candidate:
    entry = "backward" if path.stem.startswith("softmax_backward") else "forward"
    file = SourceFile(name="kernel.cu", text=path.read_text(encoding="utf-8"))
    return Candidate(language=Language.CUDA, files=(file,), entry=entry)


def _verdict(slug: str, path: Path) -> Verdict:
    return verify(library_task(slug), _candidate(path), parse_device("sim:h100"), seed=20)


@pytest.mark.slow
def test_a_right_kernel_passes():
    verdict = _verdict("softmax_backward", RIGHT / "softmax_backward.cu")
    assert verdict.status is Status.PASSED, verdict.checks[-1]


@pytest.mark.slow
@pytest.mark.parametrize("slug", BROKEN_COPIES)
def test_its_broken_copy_fails_with_the_faults_own_status(slug):
    verdict = _verdict(slug, BROKEN / f"{slug}_broken.cu")
    assert verdict.status in FAULTS[slug], verdict.checks[-1]


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["softmax", "matmul", "cross_entropy"])
def test_a_right_kernel_has_a_modelled_time_above_the_floor(slug):
    measurement = bench(library_task(slug), _candidate(RIGHT / f"{slug}.cu"), parse_device("sim:h100"), seed=20)
    for timing in measurement.timings:
        assert timing.floor_us < timing.median_us
        assert 0.02 < timing.speedup < 50
        assert timing.launches

"""Planted defects must be found with their source line; their honest twins must pass."""

import numpy as np
import pytest

from simgpu import DiagnosticKind, LaunchOptions

N = 256


def line_of(source, mark):
    return next(number for number, text in enumerate(source.splitlines(), 1) if mark in text)


def launch_marked(card, compile_cuda, source, *, threads=N, shared=0, **options):
    data = card.put(np.arange(N, dtype=np.int32), "data")
    report = card.run(compile_cuda(source), "kernel", (1,), (threads,), data, np.int32(N), shared=shared, **options)
    return report, data


GLOBAL = r"""
extern "C" __global__ void kernel(int* data, int n) {
  int i = threadIdx.x;
  data[i + %d] = i; // here
}"""


def test_global_overrun_names_the_place(card, compile_cuda):
    source = GLOBAL % 1
    report, data = launch_marked(card, compile_cuda, source)
    (found,) = report.diagnostics
    assert found.kind is DiagnosticKind.OUT_OF_BOUNDS
    assert found.line == line_of(source, "here")
    assert found.file.endswith(".cu")
    assert found.thread == (N - 1, 0, 0)
    assert found.block == (0, 0, 0)
    assert found.address == data + 4 * N
    assert found.allocation == "data"
    assert "store of 4 bytes" in found.message


def test_global_twin_passes(card, compile_cuda):
    assert launch_marked(card, compile_cuda, GLOBAL % 0)[0].ok


def test_a_negative_index_is_found(card, compile_cuda):
    report, _ = launch_marked(card, compile_cuda, GLOBAL % -1)
    assert report.diagnostics[0].kind is DiagnosticKind.OUT_OF_BOUNDS
    assert report.diagnostics[0].thread == (0, 0, 0)


@pytest.mark.parametrize("index", ["i * 17 % 300", "(i ^ 5) * 4", "i / 2 * 3"])
def test_scattered_overruns_are_found(card, compile_cuda, index):
    source = f'extern "C" __global__ void kernel(int* data, int n) {{ int i = threadIdx.x; data[{index}] = i; }}'
    assert launch_marked(card, compile_cuda, source)[0].diagnostics[0].kind is DiagnosticKind.OUT_OF_BOUNDS


SHARED = r"""
extern "C" __global__ void kernel(int* data, int n) {
  __shared__ int box[256];
  box[threadIdx.x * %d] = data[threadIdx.x]; // here
  __syncthreads();
  data[threadIdx.x] = box[n - 1 - threadIdx.x];
}"""


def test_shared_overrun(card, compile_cuda):
    source = SHARED % 2
    (found,) = launch_marked(card, compile_cuda, source)[0].diagnostics
    assert found.kind is DiagnosticKind.OUT_OF_BOUNDS
    assert found.line == line_of(source, "here")
    assert "shared memory" in found.message


def test_shared_twin_passes(card, compile_cuda):
    report, data = launch_marked(card, compile_cuda, SHARED % 1)
    assert report.ok
    assert card.get(data, np.zeros(N, np.int32)).tolist() == list(range(N - 1, -1, -1))


DYNAMIC = r"""
extern "C" __global__ void kernel(int* data, int n) {
  extern __shared__ int box[];
  box[threadIdx.x] = 1;
  data[threadIdx.x] = box[threadIdx.x];
}"""


def test_dynamic_shared_memory_that_is_too_small(card, compile_cuda):
    assert not launch_marked(card, compile_cuda, DYNAMIC, shared=4 * N - 4)[0].ok
    assert launch_marked(card, compile_cuda, DYNAMIC, shared=4 * N)[0].ok


def test_misaligned_access(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(char* data, int n) {
  *(float*)(data + n / 128 + threadIdx.x * 4) = 1.f; // here
}"""
    report, _ = launch_marked(card, compile_cuda, source, threads=32)
    assert report.diagnostics[0].kind is DiagnosticKind.MISALIGNED
    assert report.diagnostics[0].line == line_of(source, "here")


def test_misaligned_vector(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(float* data, int n) { ((float4*)(data + 1))[threadIdx.x] = make_float4(1, 2, 3, 4); }"""
    assert launch_marked(card, compile_cuda, source, threads=32)[0].diagnostics[0].kind is DiagnosticKind.MISALIGNED


def test_use_after_free(card, compile_cuda):
    module = compile_cuda(GLOBAL % 0)
    data = card.put(np.zeros(N, np.int32), "gone")
    assert card.run(module, "kernel", (1,), (N,), data, np.int32(N)).ok
    card.memory.free(data)
    (found,) = card.run(module, "kernel", (1,), (N,), data, np.int32(N)).diagnostics
    assert found.kind is DiagnosticKind.USE_AFTER_FREE
    assert found.allocation == "gone"


BARRIER = r"""
extern "C" __global__ void kernel(int* data, int n) {
  __shared__ int box[256];
  box[threadIdx.x] = data[threadIdx.x];
  if (%s) {
    __syncthreads(); // here
    data[threadIdx.x] = box[n - 1 - threadIdx.x];
  }
  data[threadIdx.x] += 1;
}"""


def test_barrier_under_a_divergent_branch(card, compile_cuda):
    source = BARRIER % "data[threadIdx.x] % 2"
    (found,) = launch_marked(card, compile_cuda, source)[0].diagnostics
    assert found.kind is DiagnosticKind.DIVERGENT_BARRIER
    assert found.line == line_of(source, "here")


def test_barrier_under_a_uniform_branch_passes(card, compile_cuda):
    assert launch_marked(card, compile_cuda, BARRIER % "n > 3")[0].ok


def test_barrier_after_some_threads_left_passes(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(int* data, int n) {
  if (threadIdx.x % 3 == 0) return;
  __syncthreads();
  data[threadIdx.x] = 5;
}"""
    report, data = launch_marked(card, compile_cuda, source)
    assert report.ok
    assert card.get(data, np.zeros(N, np.int32)).tolist() == [i if i % 3 == 0 else 5 for i in range(N)]


def test_lanes_on_their_way_out_hold_up_no_barrier(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(int* data, int n) {
  int i = threadIdx.x;
  if (i % 3 == 0) { for (int k = 0; k < i % 5; k++) data[i] = data[i] * 2 + n; return; }
  __syncthreads();
  data[i] = 5;
}"""
    report, data = launch_marked(card, compile_cuda, source)
    assert report.ok, report.diagnostics

    def early(i):
        value = i
        for _ in range(i % 5):
            value = value * 2 + N
        return value

    assert card.get(data, np.zeros(N, np.int32)).tolist() == [early(i) if i % 3 == 0 else 5 for i in range(N)]


@pytest.mark.parametrize(
    "body",
    [
        "for (int k = 0; k < 9; k++) { if (k == i % 7 + 1) break; __syncthreads(); } data[i] = 5;",
        "if (i % 2) __syncthreads(); data[i] = 5;",
        "if (i % 2) { data[i] = 1; __syncthreads(); } else { data[i] = 2; __syncthreads(); } data[i] += n;",
    ],
)
def test_barriers_that_only_some_lanes_meet(card, compile_cuda, body):
    source = f'extern "C" __global__ void kernel(int* data, int n) {{ int i = threadIdx.x; {body} }}'
    (found,) = launch_marked(card, compile_cuda, source)[0].diagnostics
    assert found.kind is DiagnosticKind.DIVERGENT_BARRIER


def test_warps_waiting_at_different_barriers_are_a_deadlock(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(int* data, int n) {
  if (threadIdx.x < 32) asm volatile("bar.sync 1, 64;"); // here
  else asm volatile("bar.sync 2, 64;");
  data[threadIdx.x] = 1;
}"""
    (found,) = launch_marked(card, compile_cuda, source, threads=64)[0].diagnostics
    assert found.kind is DiagnosticKind.DEADLOCK
    assert found.line == line_of(source, "here")


def test_an_endless_loop_ends_in_a_diagnostic(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(volatile int* data, int n) {
  while (data[threadIdx.x] >= 0) { // here
  }
}"""
    report, _ = launch_marked(card, compile_cuda, source, instruction_budget=1_000_000)
    assert {found.kind for found in report.diagnostics} == {DiagnosticKind.RUNAWAY}
    assert report.diagnostics[0].line == line_of(source, "here")


def test_a_fault_stops_the_blocks_that_follow(card, compile_cuda):
    module = compile_cuda(GLOBAL % 1)
    data = card.put(np.zeros(N, np.int32))
    report = card.run(module, "kernel", (100_000,), (N,), data, np.int32(N))
    assert not report.ok
    assert report.blocks_run < 100


def test_trap_and_assert(card, compile_cuda):
    source = r"""
extern "C" __global__ void kernel(int* data, int n) {
  if (threadIdx.x == 70) asm volatile("trap;"); // here
}"""
    (found,) = launch_marked(card, compile_cuda, source)[0].diagnostics
    assert found.kind is DiagnosticKind.TRAP
    assert found.line == line_of(source, "here")
    assert found.thread == (70, 0, 0)
    asserting = (
        '#include <cassert>\nextern "C" __global__ void kernel(int* data, int n) { assert(data[threadIdx.x] < %d); }'
    )
    assert launch_marked(card, compile_cuda, asserting % 100)[0].diagnostics[0].kind is DiagnosticKind.ASSERTION
    assert launch_marked(card, compile_cuda, asserting % 300)[0].ok


def test_unchecked_launches_still_compute(card, compile_cuda):
    report, data = launch_marked(card, compile_cuda, SHARED % 1, checks=False)
    assert report.ok
    assert card.get(data, np.zeros(N, np.int32)).tolist() == list(range(N - 1, -1, -1))
    assert LaunchOptions(checks=False).checks is False

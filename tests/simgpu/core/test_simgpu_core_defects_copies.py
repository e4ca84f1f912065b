"""Asynchronous copies whose destination is used too early: found at the line that does, and never in honest pipelines.

`bug` 1 plants the defect, 0 is the twin; the lines that may be named end in `// <kernel>`.
"""

import re
from pathlib import Path

import numpy as np
import nvidia.cu13
import pytest

from simgpu import DiagnosticKind

ROUNDS, THREADS = 12, 128
CCCL = Path(nvidia.cu13.__path__[0]) / "include" / "cccl"

SOURCE = r"""
#include <cuda_pipeline.h>
#define KERNEL(name) extern "C" __global__ void name(const int* in, int* out, int rounds, int bug)
#define T threadIdx.x
#define COPY(to, from) asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" \
    :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory")

KERNEL(no_wait) {
  __shared__ int box[128];
  COPY(box + T, in + T);
  __pipeline_commit();
  if (!bug) __pipeline_wait_prior(0);
  __syncthreads();
  out[T] = box[127 - T]; // no_wait
}
KERNEL(own_cell_without_a_wait) {
  __shared__ int box[128];
  COPY(box + T, in + T);
  __pipeline_commit();
  if (!bug) __pipeline_wait_prior(0);
  out[T] = box[T]; // own_cell_without_a_wait
}
KERNEL(no_barrier_behind_the_wait) {
  __shared__ int box[128];
  COPY(box + T, in + T); // no_barrier_behind_the_wait
  __pipeline_commit();
  __pipeline_wait_prior(0);
  if (!bug) __syncthreads();
  out[T] = box[127 - T]; // no_barrier_behind_the_wait
}
KERNEL(group_not_committed) {
  __shared__ int box[128];
  COPY(box + T, in + T);
  if (!bug) __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  out[T] = box[127 - T]; // group_not_committed
}
KERNEL(one_group_too_few) {
  __shared__ int box[2][128];
  COPY(box[0] + T, in + T);
  __pipeline_commit();
  int sum = 0;
  for (int k = 0; k < rounds; k++) {
    if (k + 1 < rounds) COPY(box[(k + 1) % 2] + T, in + 128 * (k + 1) + T);
    __pipeline_commit();
    if (bug) __pipeline_wait_prior(2); else __pipeline_wait_prior(1);
    __syncthreads();
    sum += box[k % 2][127 - T]; // one_group_too_few
    __syncthreads();
  }
  out[T] = sum;
}
KERNEL(deep_pipeline) {
  __shared__ int box[4][128];
  for (int k = 0; k < 3; k++) { COPY(box[k] + T, in + 128 * k + T); __pipeline_commit(); }
  int sum = 0;
  for (int k = 0; k < rounds; k++) {
    if (bug) __pipeline_wait_prior(3); else __pipeline_wait_prior(2);
    __syncthreads();
    sum += box[k % 4][127 - T]; // deep_pipeline
    if (k + 3 < rounds) COPY(box[(k + 3) % 4] + T, in + 128 * (k + 3) + T);
    __pipeline_commit();
  }
  out[T] = sum;
}
KERNEL(stage_filled_too_early) {
  __shared__ int box[2][128];
  COPY(box[0] + T, in + T);
  __pipeline_commit();
  int sum = 0;
  for (int k = 0; k < rounds; k++) {
    if (k + 1 < rounds) COPY(box[(k + 1) % 2] + T, in + 128 * (k + 1) + T); // stage_filled_too_early
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    sum += box[k % 2][127 - T]; // stage_filled_too_early
    if (!bug) __syncthreads();
  }
  out[T] = sum;
}
KERNEL(stored_over_a_copy) {
  __shared__ int box[128];
  COPY(box + T, in + T);
  __pipeline_commit();
  if (!bug) __pipeline_wait_prior(0);
  if (T < 7) box[T] = -1; // stored_over_a_copy
  __pipeline_wait_prior(0);
  __syncthreads();
  out[T] = box[127 - T];
}
KERNEL(matrix_rows_too_early) {
  __shared__ __align__(16) int box[128];
  if (T < 32) __pipeline_memcpy_async((int4*)box + T, (const int4*)in + T, 16);
  __pipeline_commit();
  if (!bug) __pipeline_wait_prior(0);
  __syncthreads();
  unsigned r[4], at = (unsigned)__cvta_generic_to_shared(box + T % 32 * 4);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory"); // matrix_rows_too_early
  out[T] = r[0] + r[1] + r[2] + r[3];
}
"""

HONEST = r"""
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda_pipeline.h>
namespace cg = cooperative_groups;
#define KERNEL(name) extern "C" __global__ void name(const int* in, int* out, int rounds)
#define T threadIdx.x

KERNEL(pipeline_of_the_block) {
  __shared__ int box[3][128];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 3> state;
  auto block = cg::this_thread_block();
  auto pipe = cuda::make_pipeline(block, &state);
  int sum = 0;
  for (int k = 0, ahead = 0; k < rounds; k++) {
    for (; ahead < rounds && ahead < k + 3; ahead++) {
      pipe.producer_acquire();
      cuda::memcpy_async(block, box[ahead % 3], in + 128 * ahead, sizeof(int) * 128, pipe);
      pipe.producer_commit();
    }
    pipe.consumer_wait();
    sum += box[k % 3][127 - T];
    pipe.consumer_release();
  }
  out[T] = sum;
}
KERNEL(pipeline_of_the_thread) {
  __shared__ int box[2][128];
  auto pipe = cuda::make_pipeline();
  int sum = 0;
  pipe.producer_acquire();
  cuda::memcpy_async(box[0] + T, in + T, sizeof(int), pipe);
  pipe.producer_commit();
  for (int k = 0; k < rounds; k++) {
    if (k + 1 < rounds) {
      pipe.producer_acquire();
      cuda::memcpy_async(box[(k + 1) % 2] + T, in + 128 * (k + 1) + T, sizeof(int), pipe);
      pipe.producer_commit();
      cuda::pipeline_consumer_wait_prior<1>(pipe);
    } else {
      cuda::pipeline_consumer_wait_prior<0>(pipe);
    }
    __syncthreads();
    sum += box[k % 2][127 - T];
    __syncthreads();
    pipe.consumer_release();
  }
  out[T] = sum;
}
KERNEL(barrier_of_copies) {
  __shared__ int box[128];
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  if (T == 0) init(&bar, 128);
  __syncthreads();
  int sum = 0;
  for (int k = 0; k < rounds; k++) {
    cuda::memcpy_async(box + T, in + 128 * k + T, sizeof(int), bar);
    bar.arrive_and_wait();
    sum += box[127 - T];
    bar.arrive_and_wait();
  }
  out[T] = sum;
}
KERNEL(copies_of_a_group) {
  __shared__ int box[128];
  auto block = cg::this_thread_block();
  int sum = 0;
  for (int k = 0; k < rounds; k++) {
    cg::memcpy_async(block, box, in + 128 * k, sizeof(int) * 128);
    cg::wait(block);
    sum += box[127 - T];
    block.sync();
  }
  out[T] = sum;
}
KERNEL(left_under_way) {
  __shared__ int box[128];
  for (int k = 0; k < rounds; k++) __pipeline_memcpy_async(box + T, in + T, 4);
  int sum = 0;
  for (int k = 0; k < rounds; k++) sum += in[128 * k + 127 - T];
  out[T] = sum;
}
"""

K = DiagnosticKind
KINDS = {
    "no_barrier_behind_the_wait": {K.DATA_RACE_SHARED},
    "stage_filled_too_early": {K.DATA_RACE_SHARED, K.DATA_RACE_COPY},  # as the order of the warps has it
    "stored_over_a_copy": {K.DATA_RACE_SHARED},
}
PIPELINES = {"one_group_too_few", "deep_pipeline", "stage_filled_too_early"}


def kernels(source):
    return re.findall(r"^KERNEL\((\w+)\)", source, re.MULTILINE)


def run(card, module, kernel, *extra, blocks=2, **options):
    given = np.random.default_rng(3).integers(1, 1000, (ROUNDS, THREADS)).astype(np.int32)
    out = np.zeros(THREADS, np.int32)
    target = card.put(out, "out")
    report = card.run(
        module, kernel, (blocks,), (THREADS,), card.put(given, "in"), target, np.int32(ROUNDS), *extra,
        instruction_budget=3_000_000, **options,
    )  # fmt: skip
    return report, given[:, ::-1].sum(0).tolist(), card.get(target, out).tolist()


@pytest.mark.parametrize("kernel", kernels(SOURCE))
def test_a_use_of_a_copy_under_way_is_found(card, compile_cuda, kernel):
    lines = {number for number, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"// {kernel}")}
    for seed in (None, 1):
        report, *_ = run(card, compile_cuda(SOURCE), kernel, np.int32(1), schedule_seed=seed, blocks=1)
        (found,) = report.diagnostics
        assert found.kind in KINDS.get(kernel, {K.DATA_RACE_COPY}), found
        assert found.line in lines
        assert "shared memory" in found.message


@pytest.mark.parametrize("kernel", kernels(SOURCE))
def test_its_honest_twin_raises_nothing(card, compile_cuda, kernel):
    for seed in (None, 1, 2):
        report, expected, got = run(card, compile_cuda(SOURCE), kernel, np.int32(0), schedule_seed=seed)
        assert report.ok, report.diagnostics
        assert kernel not in PIPELINES or got == expected


@pytest.mark.parametrize("kernel", kernels(HONEST))
def test_pipelines_of_the_libraries_raise_nothing(card, compile_cuda, kernel):
    module = compile_cuda(HONEST, "-std=c++17", f"-I{CCCL}")
    for seed in (None, 1):
        report, expected, got = run(card, module, kernel, schedule_seed=seed)
        assert report.ok, report.diagnostics
        assert got == expected

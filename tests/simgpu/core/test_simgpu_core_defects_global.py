"""Races on global memory between blocks: each planted one is found at its line, and its honest twin raises nothing.

As in `test_simgpu_core_defects_planted.py`, `bug` 1 plants the defect, 0 is the twin, and the lines that may be named end
in `// <kernel>`. Blocks take a ticket where the order of their turns matters, so that any schedule lets them end.
"""

import re

import numpy as np
import pytest

from simgpu import DiagnosticKind

BLOCKS, THREADS = 8, 128
WORDS = 4096

SOURCE = r"""
#define KERNEL(name) extern "C" __global__ void name(int* data, int* work, int bug)
#define T threadIdx.x
#define B blockIdx.x
#define I (B * 128 + T)
#define LAST (gridDim.x - 1)

__device__ int ticket(int* counter) {
  __shared__ int mine;
  __syncthreads();
  if (T == 0) mine = atomicAdd(counter, 1);
  __syncthreads();
  return mine;
}
__device__ void wait_for(volatile int* place, int value) {
  if (T == 0) while (*place != value) {}
  __syncthreads();
}

KERNEL(stencil_in_place) {
  int left = B || T ? I - 1 : 0;
  int sum = data[bug ? left : I] + 1; // stencil_in_place
  __syncthreads();
  data[I] = sum; // stencil_in_place
}
KERNEL(partials_without_a_fence) {
  if (T == 0) data[B] = B + 1;
  if (!bug) __threadfence();
  if (ticket(work) == LAST) {
    data[64 + T] = data[T % 8]; // partials_without_a_fence
    if (T == 0) work[0] = 0;
  }
}
KERNEL(cleared_by_one_block) {
  if (bug && B == 0 && T == 0) data[0] = 0; // cleared_by_one_block
  __syncthreads();
  atomicAdd(data, 1); // cleared_by_one_block
}
KERNEL(a_fence_is_no_barrier) {
  if ((bug ? B : ticket(work)) == 0) {
    data[T] = T;
    __threadfence();
    __syncthreads();
    if (T == 0) ((volatile int*)work)[1] = 1;
  } else {
    if (!bug) wait_for(work + 1, 1);
    data[I + 1024] = data[T]; // a_fence_is_no_barrier
  }
}
KERNEL(stores_of_unlike_values) {
  if (T == 0) data[0] = bug ? B : 7; // stores_of_unlike_values
}
KERNEL(plain_sum_of_all_blocks) {
  if (T == 0) {
    if (bug) data[0] += work[B] + 1; // plain_sum_of_all_blocks
    else atomicAdd(data, work[B] + 1);
  }
}
KERNEL(overlapping_tiles) {
  data[B * (128 - bug) + T] = I; // overlapping_tiles
}
KERNEL(overlapping_vectors) {
  ((int4*)data)[B * (128 - bug) + T] = make_int4(I, 2, 3, 4); // overlapping_vectors
}
KERNEL(overlapping_halves) {
  ((short*)data)[B * (128 - bug) + T] = I; // overlapping_halves
}
KERNEL(overlapping_bytes) {
  ((unsigned char*)data)[T * 8 + (bug && T == 5 ? 0 : B)] = I; // overlapping_bytes
}
KERNEL(colliding_transpose) {
  data[T * 8 + (bug && T > 125 ? B / 2 : B)] = I; // colliding_transpose
}
KERNEL(through_any_pointer) {
  __shared__ int box[128];
  int* place = work[0] == 1 ? box : data + B * (128 - bug);
  place[T] = I; // through_any_pointer
}
KERNEL(look_back) {
  int turn = ticket(work);
  if (T == 0) {
    int sum = turn + 1;
    data[turn] = sum;
    if (!bug) __threadfence();
    ((volatile int*)work)[8 + turn] = 1;
    for (int k = turn - 1; k >= 0; k--) {
      while (((volatile int*)work)[8 + k] == 0) {}
      sum += data[k]; // look_back
    }
    data[64 + turn] = sum;
  }
}
KERNEL(split_k_semaphore) {
  int turn = ticket(work);
  wait_for(work + 1, turn);
  data[T] += turn; // split_k_semaphore
  __syncthreads();
  if (T == 0) {
    if (!bug) __threadfence();
    atomicExch(work + 1, turn + 1);
  }
}
KERNEL(semaphore_of_releases) {
  int turn = ticket(work), seen = -1;
  if (T == 0)
    while (seen != turn) asm volatile("ld.acquire.gpu.global.b32 %0, [%1];" : "=r"(seen) : "l"(work + 1) : "memory");
  __syncthreads();
  data[T] += turn; // semaphore_of_releases
  __syncthreads();
  if (T == 0) {
    if (bug) asm volatile("red.relaxed.gpu.global.add.s32 [%0], 1;" :: "l"(work + 1) : "memory");
    else asm volatile("red.release.gpu.global.add.s32 [%0], 1;" :: "l"(work + 1) : "memory");
  }
}
KERNEL(stream_k_fix_up) {
  int turn = ticket(work);
  if (turn != LAST) {
    data[128 * turn + T] = turn;
    if (!bug) __threadfence();
    __syncthreads();
    if (T == 0) atomicAdd(work + 1, 1);
  } else {
    wait_for(work + 1, LAST);
    int sum = 0;
    for (int k = 0; k < LAST; k++) sum += data[128 * k + T]; // stream_k_fix_up
    data[128 * LAST + T] = sum;
  }
}
KERNEL(tiles_by_a_counter) {
  for (int k = 0; k < 4; k++) {
    int tile = ticket(work);
    data[tile / (1 + 7 * bug) * 64 + T % 64] = tile; // tiles_by_a_counter
  }
}
KERNEL(flag_read_plainly) {
  if (B == 0 && work[T] == 0) data[0] = 1; // flag_read_plainly
  if (bug) data[64 + I] = data[0]; // flag_read_plainly
}
KERNEL(lock_without_fences) {
  if (T == 0) {
    while (atomicCAS(work, 0, 1)) {}
    if (!bug) __threadfence();
    data[0] += B; // lock_without_fences
    if (!bug) __threadfence();
    atomicExch(work, 0);
  }
}
KERNEL(fence_of_the_block_only) {
  if (T == 0) {
    data[B] = B;
    if (bug) __threadfence_block(); else __threadfence();
  }
  if (ticket(work) == LAST) data[64 + T] = data[T % 8]; // fence_of_the_block_only
}
"""

HONEST = r"""
#define KERNEL(name) extern "C" __global__ void name(int* data, int* work)
#define T threadIdx.x
#define B blockIdx.x
#define I (B * 128 + T)

KERNEL(histogram_summed_by_the_last) {
  __shared__ int turn;
  atomicAdd(data + I % 16, 1);
  __threadfence();
  __syncthreads();
  if (T == 0) turn = atomicInc((unsigned*)work, gridDim.x - 1);
  __syncthreads();
  if (turn == gridDim.x - 1) {
    for (int k = T; k < 16; k += 128) data[64 + k] = data[k];
    if (T == 0) data[0] = 0;
  }
}
KERNEL(all_set_one_flag) {
  if (I % 3 == 0) data[0] = 1;
}
KERNEL(lock_given_back_by_a_plain_store) {
  if (T == 0) {
    while (atomicCAS(work, 0, 1)) {}
    __threadfence();
    data[0] += B;
    __threadfence();
    *work = 0;
  }
}
KERNEL(lock_changing_hands_often) {
  if (T) return;
  for (int k = 0; k < 200; k++) {
    while (atomicCAS(work, 0, 1)) {}
    __threadfence();
    data[0] += B;
    __threadfence();
    *work = 0;
  }
}
KERNEL(ticket_lock_of_a_reader) {
  if (T) return;
  for (int k = 0; k < 100; k++) {
    int mine = atomicAdd(work, 1);
    while (atomicAdd(work + 1, 0) != mine) {}
    __threadfence();
    int none = data[0];
    __threadfence();
    work[1] = mine + 1 + none;
  }
}
KERNEL(counters_cleared_by_the_last_to_come) {
  for (int k = T; k < 1024; k += 128) if (atomicAdd(work + k, 1) == gridDim.x - 1) work[k] = 0;
}
KERNEL(blocks_meet_and_store_the_same) {
  if (B > 1) return;
  for (int k = 0; k < 32; k++) {
    __syncthreads();
    if (T == 0) { atomicAdd(work, 1); while (atomicAdd(work, 0) < 2 * k + 2) {} }
    __syncthreads();
    data[(k * 128 + T * 37) % 4096] = k + 1;
  }
}
KERNEL(flag_stored_plainly_after_a_fence) {
  if (T) return;
  if (atomicAdd(work, 1) == 0) { data[1] = 5; __threadfence(); work[1] = 1; }
  else { while (atomicAdd(work + 1, 0) == 0) {} __threadfence(); data[64 + B] = data[1]; }
}
KERNEL(in_place) {
  for (int k = I; k < 2048; k += 128 * gridDim.x) data[k] = 2 * data[k] + 1;
}
KERNEL(halo_computed_twice) {
  data[B * 120 + T] = (B * 120 + T) * 3;
}
KERNEL(bytes_beside_each_other) {
  unsigned char* bytes = (unsigned char*)data;
  bytes[T * 8 + B] = I;
  bytes[2048 + B * 127 + T] = (B * 127 + T) % 251;
}
KERNEL(halves_in_columns) {
  short* halves = (short*)data;
  halves[T * 8 + B] = I;
  if (halves[T * 8 + B] != (short)I) data[3000] = 1;
}
KERNEL(rewritten_by_its_block) {
  for (int k = 0; k < 4; k++) { data[I] = data[I] + k; __threadfence(); data[I ^ 1] += 1; __syncthreads(); }
}
KERNEL(stores_the_pattern_itself) {
  data[2048 + I] = 0xFFCB7FD5;
  if (data[2048 + I] != 0xFFCB7FD5) data[3500] = 1;
}
KERNEL(volatile_among_themselves) {
  volatile int* place = data;
  if (T == 0) { place[B] = B + 1; place[8 + B] = place[(B + 1) % 8] + place[(B + 7) % 8]; }
}
"""


def kernels(source):
    return re.findall(r"^KERNEL\((\w+)\)", source, re.MULTILINE)


ORDERS = (None, 1, 2)


def run(card, module, kernel, *extra, **options):
    data = card.put(np.zeros(WORDS, np.int32), "data")
    work = card.put(np.zeros(1024, np.int32), "work")
    parameters = (data, work, *extra)
    return card.run(module, kernel, (BLOCKS,), (THREADS,), *parameters, instruction_budget=3_000_000, **options)


@pytest.mark.parametrize("kernel", kernels(SOURCE))
def test_a_planted_race_is_found_at_its_line(card, compile_cuda, kernel):
    module = compile_cuda(SOURCE)
    lines = {number for number, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"// {kernel}")}
    # One host thread: blocks in order, so that the write always comes first.
    report = run(card, module, kernel, np.int32(1), threads=1)
    found = report.diagnostics[0]
    assert found.kind is DiagnosticKind.DATA_RACE_GLOBAL, report.diagnostics
    assert found.line in lines
    assert found.kernel == kernel
    assert found.allocation == "data"
    assert "which block" in found.message
    assert found.block is not None
    assert found.block[0] < BLOCKS


@pytest.mark.parametrize("kernel", kernels(SOURCE))
def test_its_honest_twin_raises_nothing(card, compile_cuda, kernel):
    for seed in ORDERS:
        report = run(card, compile_cuda(SOURCE), kernel, np.int32(0), schedule_seed=seed)
        assert report.ok, report.diagnostics


@pytest.mark.parametrize("kernel", kernels(HONEST))
def test_what_blocks_may_do_raises_nothing(card, compile_cuda, kernel):
    for seed in ORDERS:
        report = run(card, compile_cuda(HONEST), kernel, schedule_seed=seed)
        assert report.ok, report.diagnostics

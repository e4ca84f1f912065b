"""One defect of every kind in one source: each is found at its line, and its honest twin raises nothing.

Every kernel takes `bug`: 1 plants the defect, 0 is the twin. The line that must be named ends in `// <kernel>`; where
a race may be told from either of its two sides, both lines do.
"""

import numpy as np
import pytest

from simgpu import DiagnosticKind

THREADS = 128
WORDS = 256

SOURCE = r"""
#define KERNEL(name) extern "C" __global__ void name(int* data, int bug)
#define T threadIdx.x
__device__ int table[64];

KERNEL(store_past_the_end) {
  data[T + 128 + bug] = T; // store_past_the_end
}
KERNEL(load_past_the_end) {
  data[T] = data[T + 128 + bug]; // load_past_the_end
}
KERNEL(load_before_the_start) {
  data[T + 1] = data[(int)T - bug]; // load_before_the_start
}
KERNEL(scattered_store) {
  data[T * 2 % 256 + bug * (T == 77) * 1000] = 1; // scattered_store
}
KERNEL(vector_past_the_end) {
  if (T < 32) ((int4*)data)[T + 32 + bug] = make_int4(1, 2, 3, 4); // vector_past_the_end
}
KERNEL(far_address) {
  int* place = bug ? (int*)((size_t)data << 3) : data;
  place[T] = 1; // far_address
}
KERNEL(null_pointer) {
  int* place = (int*)((size_t)data & (size_t)((long long)bug - 1));
  place[T] = 1; // null_pointer
}
KERNEL(freed_memory) {
  data[T] += 1; // freed_memory
}
KERNEL(variable_overrun) {
  if (T < 64) table[T + bug] = T; // variable_overrun
}
KERNEL(atomic_past_the_end) {
  atomicAdd(data + 255 + bug, 1); // atomic_past_the_end
}
KERNEL(shared_overrun) {
  __shared__ int box[128];
  box[T + bug] = T; // shared_overrun
  __syncthreads();
  data[T] = box[127 - T];
}
KERNEL(shared_below_zero) {
  __shared__ int box[128];
  box[(int)T - bug] = T; // shared_below_zero
  __syncthreads();
  data[T] = box[127 - T];
}
KERNEL(local_overrun) {
  int own[8];
  for (int k = 0; k < 8; k++) own[k] = k;
  own[data[T] % 8 + bug * 600] = 5; // local_overrun
  data[T] = own[data[T + 1] % 8];
}
KERNEL(odd_word) {
  *(int*)((char*)data + 4 * T + bug) = 1; // odd_word
}
KERNEL(odd_vector) {
  int2 pair = ((int2*)(data + bug))[T % 32]; // odd_vector
  data[T] = pair.x + pair.y;
}
KERNEL(odd_shared_vector) {
  __shared__ __align__(16) int box[256];
  box[T] = T;
  box[T + 128] = T;
  __syncthreads();
  int4 four = ((int4*)(box + bug))[T % 32]; // odd_shared_vector
  data[T] = four.x + four.y + four.z + four.w;
}
KERNEL(missing_barrier) {
  __shared__ int box[128];
  box[T] = data[T]; // missing_barrier
  if (!bug) __syncthreads();
  data[T] = box[127 - T]; // missing_barrier
}
KERNEL(missing_second_barrier) {
  __shared__ int box[128];
  int sum = 0;
  for (int k = 0; k < 3; k++) {
    box[T] = data[T + k]; // missing_second_barrier
    __syncthreads();
    sum += box[127 - T]; // missing_second_barrier
    if (!bug) __syncthreads();
  }
  data[T] = sum;
}
KERNEL(tree_without_barriers) {
  __shared__ int box[128];
  box[T] = data[T];
  __syncthreads();
  for (int k = 64; k; k >>= 1) {
    if (T < k) box[T] += box[T + k]; // tree_without_barriers
    if (!bug) __syncthreads();
  }
  if (T == 0) data[0] = box[0];
}
KERNEL(two_warps_store_unlike_values) {
  __shared__ int box[1];
  if (T % 32 == 0) box[0] = bug ? T : 7; // two_warps_store_unlike_values
  __syncthreads();
  data[T] = box[0];
}
KERNEL(plain_sum_of_all) {
  __shared__ int sum;
  if (T == 0) sum = 0;
  __syncthreads();
  if (bug) sum += data[T]; // plain_sum_of_all
  else atomicAdd(&sum, data[T]);
  __syncthreads();
  if (T == 0) data[0] = sum;
}
KERNEL(result_read_too_early) {
  __shared__ int sum;
  if (T == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, data[T]); // result_read_too_early
  if (!bug) __syncthreads();
  data[T] = sum; // result_read_too_early
}
KERNEL(counter_cleared_too_late) {
  __shared__ int count;
  if (T == 64) count = 0; // counter_cleared_too_late
  if (!bug) __syncthreads();
  atomicAdd(&count, 1); // counter_cleared_too_late
  __syncthreads();
  if (T == 0) data[0] = count;
}
KERNEL(partial_reused_too_early) {
  __shared__ int part[4];
  for (int k = 0; k < 2; k++) {
    if (T % 32 == 0) part[T / 32] = data[T] + k; // partial_reused_too_early
    __syncthreads();
    if (T < 32) data[128 + T] = part[T % 4]; // partial_reused_too_early
    if (!bug) __syncthreads();
  }
}
KERNEL(neighbouring_bytes) {
  __shared__ unsigned char box[130];
  if (T % 32 == 31) box[T] = 3; // neighbouring_bytes
  if (T % 32 == 0) box[(T + bug * 63) % 128] = T; // neighbouring_bytes
  __syncthreads();
  data[T] = T % 32 == 31 ? box[T] : 0;
}
KERNEL(through_a_generic_pointer) {
  __shared__ int box[128];
  int* place = data[0] == 12345 ? data : box;
  place[T] = T; // through_a_generic_pointer
  if (!bug) __syncthreads();
  data[T + 128] = place[127 - T]; // through_a_generic_pointer
}
KERNEL(unwritten_edge) {
  __shared__ int box[129];
  box[T] = data[T];
  if (!bug && T == 0) box[128] = 0;
  __syncthreads();
  data[T] = box[T + 1]; // unwritten_edge
}
KERNEL(histogram_not_cleared) {
  __shared__ int bins[32];
  if (!bug && T < 32) bins[T] = 0;
  __syncthreads();
  atomicAdd(bins + data[T] % 32, 1); // histogram_not_cleared
  __syncthreads();
  if (T < 32) data[T] = bins[T];
}
KERNEL(unwritten_local) {
  int own[16];
  for (int k = 0; k < 15 + !bug; k++) own[data[k]] = k;
  data[T] = own[data[T] % 16]; // unwritten_local
}
KERNEL(unwritten_workspace) {
  int* work = data + 256;
  if (T < 128 - bug) work[T] = T;
  __syncthreads();
  data[T] = work[127 - T]; // unwritten_workspace
}
KERNEL(unwritten_half) {
  short* work = (short*)(data + 256);
  if (T < 128 - 2 * bug) work[T] = T;
  __syncthreads();
  data[T] = work[127 - T]; // unwritten_half
}
KERNEL(barrier_in_half_a_warp) {
  if (T % 2 || !bug) __syncthreads(); // barrier_in_half_a_warp
  data[T] = 5;
}
KERNEL(barrier_nobody_else_meets) {
  if (T < 32) asm volatile("bar.sync 1, 64;"); // barrier_nobody_else_meets
  else if (T < 64) asm volatile("bar.sync %0, 64;" :: "r"(1 + bug));
}
KERNEL(endless_loop) {
  volatile int* flag = data;
  while (flag[T] * bug >= bug) { // endless_loop
    if (!bug) break;
  }
}
KERNEL(trapped) {
  if (bug && T == 70) asm volatile("trap;"); // trapped
}
"""

K = DiagnosticKind
DEFECTS = {
    "store_past_the_end": K.OUT_OF_BOUNDS,
    "load_past_the_end": K.OUT_OF_BOUNDS,
    "load_before_the_start": K.OUT_OF_BOUNDS,
    "scattered_store": K.OUT_OF_BOUNDS,
    "vector_past_the_end": K.OUT_OF_BOUNDS,
    "far_address": K.OUT_OF_BOUNDS,
    "null_pointer": K.OUT_OF_BOUNDS,
    "freed_memory": K.USE_AFTER_FREE,
    "variable_overrun": K.OUT_OF_BOUNDS,
    "atomic_past_the_end": K.OUT_OF_BOUNDS,
    "shared_overrun": K.OUT_OF_BOUNDS,
    "shared_below_zero": K.OUT_OF_BOUNDS,
    "local_overrun": K.OUT_OF_BOUNDS,
    "odd_word": K.MISALIGNED,
    "odd_vector": K.MISALIGNED,
    "odd_shared_vector": K.MISALIGNED,
    "missing_barrier": K.DATA_RACE_SHARED,
    "missing_second_barrier": K.DATA_RACE_SHARED,
    "tree_without_barriers": K.DATA_RACE_SHARED,
    "two_warps_store_unlike_values": K.DATA_RACE_SHARED,
    "plain_sum_of_all": K.DATA_RACE_SHARED,
    "result_read_too_early": K.DATA_RACE_SHARED,
    "counter_cleared_too_late": K.DATA_RACE_SHARED,
    "partial_reused_too_early": K.DATA_RACE_SHARED,
    "neighbouring_bytes": K.DATA_RACE_SHARED,
    "through_a_generic_pointer": K.DATA_RACE_SHARED,
    "unwritten_edge": K.UNINITIALISED_SHARED,
    "histogram_not_cleared": K.UNINITIALISED_SHARED,
    "unwritten_local": K.UNINITIALISED_LOCAL,
    "unwritten_workspace": K.UNINITIALISED_GLOBAL,
    "unwritten_half": K.UNINITIALISED_GLOBAL,
    "barrier_in_half_a_warp": K.DIVERGENT_BARRIER,
    "barrier_nobody_else_meets": K.DEADLOCK,
    "endless_loop": K.RUNAWAY,
    "trapped": K.TRAP,
}


def run(card, compile_cuda, kernel, bug, **options):
    workspace = kernel.startswith(("unwritten_work", "unwritten_half"))
    data = card.memory.allocate((2 if workspace else 1) * 4 * WORDS, "data")
    card.memory.view(data, 4 * WORDS)[:] = np.arange(WORDS, dtype=np.int32).tobytes()
    if kernel == "freed_memory" and bug:
        card.memory.free(data)
    return card.run(
        compile_cuda(SOURCE), kernel, (1,), (THREADS,), data, np.int32(bug), instruction_budget=1_000_000, **options
    )


@pytest.mark.parametrize("kernel", DEFECTS)
def test_a_planted_defect_is_found_at_its_line(card, compile_cuda, kernel):
    (found,) = run(card, compile_cuda, kernel, 1).diagnostics
    assert found.kind is DEFECTS[kernel], found
    lines = {number for number, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"// {kernel}")}
    assert found.line in lines
    assert found.kernel == kernel
    assert found.block == (0, 0, 0)


@pytest.mark.parametrize("kernel", DEFECTS)
def test_its_honest_twin_raises_nothing(card, compile_cuda, kernel):
    for seed in (None, 3):
        report = run(card, compile_cuda, kernel, 0, schedule_seed=seed)
        assert report.ok, report.diagnostics


@pytest.mark.parametrize("kernel", [name for name, kind in DEFECTS.items() if kind is K.DATA_RACE_SHARED])
def test_a_shared_race_is_found_in_any_order_of_the_warps(card, compile_cuda, kernel):
    for seed in range(3):
        (found,) = run(card, compile_cuda, kernel, 1, schedule_seed=seed).diagnostics
        assert found.kind in {K.DATA_RACE_SHARED, K.UNINITIALISED_SHARED}

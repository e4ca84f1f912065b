"""Values that nothing has written: read and dropped they are no fault, used they are, wherever they went in between.

Every kernel takes `bug`: 1 uses what is unwritten, 0 is the honest twin, which reads it all the same. The line that reads
ends in `// <kernel>`, and the one that uses in `// use <kernel>`, where it is another one. The host has written the first
256 words of `data`, and nobody those behind it.
"""

import ctypes
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simgpu import DiagnosticKind
from simgpu.runtime.engine import load_runtime

THREADS, WORDS, WRITTEN = 128, 256, 100

SOURCE = r"""
#define KERNEL(name) extern "C" __global__ void name(int* data, int bug)
#define T threadIdx.x
#define READ(place) (*(volatile int*)&(place))
#define PART(box) __shared__ int box[128]; if (T < 100) box[T] = data[T]; __syncthreads()
__device__ __noinline__ int twice(int n) { return 2 * n; }
__device__ __noinline__ void keep(int* to, int n) { *to = n; } // use stored_by_a_call

KERNEL(lane_beyond_the_sums) {
  PART(box);
  int v = READ(box[T]); // lane_beyond_the_sums
  if (bug || T < 100) data[T] = v; // use lane_beyond_the_sums
}
KERNEL(dropped_by_a_select) {
  PART(box);
  int v = READ(box[T]); // dropped_by_a_select
  asm volatile("{.reg .pred p; setp.lt.u32 p, %1, %2; selp.b32 %0, %0, 7, p;}" : "+r"(v) : "r"(T), "r"(bug ? 128 : 100));
  data[T] = v; // use dropped_by_a_select
}
KERNEL(overwritten_in_a_branch) {
  PART(box);
  int v = READ(box[T]); // overwritten_in_a_branch
  if (T >= 100 + 9 * bug) v = data[T + 1];
  data[T] = v; // use overwritten_in_a_branch
}
KERNEL(through_a_shuffle) {
  PART(box);
  int v = READ(box[T]); // through_a_shuffle
  v = __shfl_sync(~0u, v, bug ? T % 32 : T % 4);
  data[T] = v; // use through_a_shuffle
}
KERNEL(through_a_sum_of_shuffles) {
  PART(box);
  int v = READ(box[T]); // through_a_sum_of_shuffles
  for (int k = bug ? 16 : 2; k; k >>= 1) v += __shfl_down_sync(~0u, v, k);
  if (T % 32 == 0) data[T] = v; // use through_a_sum_of_shuffles
}
KERNEL(through_a_reduction) {
  PART(box);
  int v = READ(box[T]), n = 0; // through_a_reduction
  if (bug || T % 32 < 4) n = __reduce_add_sync(bug ? ~0u : 15u, v);
  data[T] = n; // use through_a_reduction
}
KERNEL(through_a_ballot) {
  PART(box);
  int v = READ(box[T]); // through_a_ballot
  unsigned votes = __ballot_sync(~0u, v > 5);
  if (bug || T < 96) data[T] = votes; // use through_a_ballot
}
KERNEL(through_shared_memory_twice) {
  __shared__ int second[128], third[128];
  PART(box);
  second[T] = box[T];
  __syncthreads();
  third[T] = second[127 - T];
  __syncthreads();
  int v = READ(third[T]); // through_shared_memory_twice
  if (bug || T >= 28) data[T] = v; // use through_shared_memory_twice
}
KERNEL(through_a_generic_pointer) {
  __shared__ int second[128];
  PART(box);
  int own[4] = {1, 2, 3, 4};
  int* to = data[0] ? own : second + T;
  *to = box[T];
  int v = READ(*to); // through_a_generic_pointer
  if (bug || T < 100) data[T] = v + own[data[T] % 4]; // use through_a_generic_pointer
}
KERNEL(written_in_the_end) {
  PART(box);
  box[T] = READ(box[T]);
  if (!bug || T < 100) box[T] = T;
  data[T] = READ(box[T]); // written_in_the_end
}
KERNEL(through_a_local_array) {
  PART(box);
  int own[4];
  for (int k = 0; k < 4; k++) own[data[128 + k] % 4] = READ(box[(T + k) % 128]);
  data[T] = bug || T < 97 ? own[data[128 + T] % 4] : 0; // through_a_local_array
}
KERNEL(through_a_call) {
  PART(box);
  int v = twice(READ(box[T])); // through_a_call
  if (bug || T < 100) data[T] = v; // use through_a_call
}
KERNEL(stored_by_a_call) {
  PART(box);
  int v = READ(box[T]); // stored_by_a_call
  if (bug || T < 100) keep(data + T, v);
}
KERNEL(part_of_a_vector) {
  __shared__ __align__(16) int box[512];
  for (int k = 0; k < 3; k++) box[4 * T + k] = data[T];
  int4 v = ((int4*)box)[T]; // part_of_a_vector
  data[T] = v.x + v.y + v.z + (bug ? v.w : 0); // use part_of_a_vector
}
KERNEL(half_of_a_long_word) {
  __shared__ __align__(8) int box[256];
  box[2 * T] = data[T];
  long long v = ((volatile long long*)box)[T]; // half_of_a_long_word
  data[T] = bug ? (int)(v >> 32) : (int)v; // use half_of_a_long_word
}
KERNEL(decides_a_branch) {
  PART(box);
  int v = READ(box[T]), n = data[T]; // decides_a_branch
  if (T < 100 + bug && v < 90) n = data[T + 128] * n; // use decides_a_branch
  data[T] = n;
}
KERNEL(decides_with_another) {
  PART(box);
  int v = READ(box[T]), n = 0; // decides_with_another
  asm volatile("{.reg .pred p, q, r; setp.lt.u32 p, %1, %2; setp.gt.s32 q, %3, 5; and.pred r, p, q; @r mov.u32 %0, 1;}"
               : "+r"(n) : "r"(T), "r"(bug ? 128 : 100), "r"(v));
  data[T] = n; // use decides_with_another
}
KERNEL(compared_with_another) {
  PART(box);
  int v = READ(box[T]), n = 0; // compared_with_another
  asm volatile("{.reg .pred p, r; setp.ge.u32 p, %1, %2; setp.gt.or.s32 r, %3, 5, p; selp.b32 %0, 1, 0, r;}"
               : "+r"(n) : "r"(T), "r"(bug ? 128 : 100), "r"(v));
  data[T] = n; // use compared_with_another
}
KERNEL(part_of_an_address) {
  PART(box);
  int v = READ(box[T]); // part_of_an_address
  if (bug || T < 100) data[v & 127] = 1; // use part_of_an_address
}
KERNEL(names_a_lane) {
  PART(box);
  int v = READ(box[T]); // names_a_lane
  if (!bug) v = T < 100 ? v : 0;
  data[T] = __shfl_sync(~0u, (int)T, v & 31); // use names_a_lane
}
KERNEL(added_by_an_atomic) {
  PART(box);
  int v = READ(box[T]); // added_by_an_atomic
  if (bug || T < 100) atomicAdd(data, v); // use added_by_an_atomic
}
KERNEL(rows_of_a_product) {
  __shared__ unsigned tile[16][8];
  if (T < 64) tile[T / 8][T % 8] = 0x3C003C00;
  __syncthreads();
  int g = T % 32 / 4, t = T % 4;
  unsigned a[4] = {tile[g][t], tile[g + 8][t], tile[g][t + 4], tile[g + 8][t + 4]}; // rows_of_a_product
  float d[4] = {0, 0, 0, 0};
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(0x3C003C00), "r"(0x3C003C00));
  data[T] = bug ? d[2] : d[0]; // use rows_of_a_product
}
KERNEL(rows_of_a_loaded_matrix) {
  __shared__ __align__(16) unsigned tile[16][4];
  if (T < 32) tile[T / 4][T % 4] = T;
  __syncthreads();
  unsigned r[2], at = (unsigned)__cvta_generic_to_shared(tile[T % 16]);
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(at)); // rows_of_a_loaded_matrix
  data[T] = bug ? r[1] : r[0]; // use rows_of_a_loaded_matrix
}
KERNEL(end_of_a_workspace) {
  int* work = data + 256;
  if (T < 3) work[T] = T;
  __syncthreads();
  int4 v = *(int4*)work; // end_of_a_workspace
  data[T] = v.x + v.y + v.z + (bug ? v.w : 0); // use end_of_a_workspace
}
KERNEL(copied_from_a_workspace) {
  __shared__ __align__(16) int box[128];
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4; cp.async.wait_all;"
    :: "r"((unsigned)__cvta_generic_to_shared(box + T)), "l"(data + 192 + T) : "memory");
  int v = READ(box[T]); // copied_from_a_workspace
  if (bug || T < 64) data[T] = v; // use copied_from_a_workspace
}
KERNEL(same_for_all_lanes) {
  PART(box);
  int v = READ(box[120]), n = READ(box[20]); // same_for_all_lanes
  data[T] = bug ? v : n; // use same_for_all_lanes
}
KERNEL(carried_round_a_loop) {
  PART(box);
  int v = 0, n = 0;
  for (int k = 0; k < data[3]; k++) {
    n += v;
    v = READ(box[(T + 32 * k) % 128]); // carried_round_a_loop
  }
  if (bug || T < 4) data[T] = n; // use carried_round_a_loop
}
"""

KINDS = {
    "through_a_local_array": DiagnosticKind.UNINITIALISED_LOCAL,
    "end_of_a_workspace": DiagnosticKind.UNINITIALISED_GLOBAL,
}
USES = {
    "decides_a_branch": "decides a branch", "part_of_an_address": "is part of an address", "names_a_lane": "says which lanes",
    "added_by_an_atomic": "is an atomic's operand",
}  # fmt: skip
KERNELS = re.findall(r"^KERNEL\((\w+)\)", SOURCE, re.MULTILINE)


def line_ending(text):
    return next((number for number, line in enumerate(SOURCE.splitlines(), 1) if line.endswith(f"// {text}")), None)


def run(card, compile_cuda, kernel, bug, **options):
    data = card.memory.allocate(8 * WORDS, "data")
    card.memory.view(data, 4 * WORDS)[:] = np.arange(WORDS, dtype=np.int32).tobytes()
    return card.run(compile_cuda(SOURCE), kernel, (1,), (THREADS,), data, np.int32(bug), **options)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_use_is_found_with_both_its_places(card, compile_cuda, kernel):
    (found,) = run(card, compile_cuda, kernel, 1).diagnostics
    assert found.kind is KINDS.get(kernel, DiagnosticKind.UNINITIALISED_SHARED), found
    assert found.line == line_ending(kernel), found
    use = line_ending(f"use {kernel}")
    assert USES.get(kernel, "is stored to global memory") in found.message
    assert found.message.endswith("in the same line" if use is None else f"in line {use}"), found.message


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_read_and_dropped_raises_nothing(card, compile_cuda, kernel):
    report = run(card, compile_cuda, kernel, 0)
    assert report.ok, report.diagnostics


SHUFFLES = {
    "up": ("__shfl_up_sync(~0u, v, 3, 16)", lambda lane: lane - 3 if lane % 16 >= 3 else lane),
    "down": ("__shfl_down_sync(~0u, v, 8)", lambda lane: lane + 8 if lane < 24 else lane),
    "xor": ("__shfl_xor_sync(~0u, v, 4)", lambda lane: lane ^ 4),
    "one": ("__shfl_sync(~0u, v, 7)", lambda _: 7),
    "reversed": ("__shfl_sync(~0u, v, 31 - T)", lambda lane: 31 - lane),
    "told": ("__shfl_sync(~0u, v, data[64 + T])", lambda lane: 5 * lane % 32),
}


SHUFFLING = "#define T threadIdx.x\n" + "".join(
    f"""
extern "C" __global__ void shuffle_{name}(int* data, unsigned written, unsigned lane) {{
  __shared__ int box[32];
  if (written >> T & 1) box[T] = T;
  int v = *(volatile int*)(box + T);
  v = {expression};
  if (T == lane) data[T] = v;
}}"""
    for name, (expression, _) in SHUFFLES.items()
)


@pytest.mark.parametrize("name", SHUFFLES)
def test_a_shuffle_moves_just_the_lanes_that_it_names(card, compile_cuda, name):
    _, source = SHUFFLES[name]
    module = compile_cuda(SHUFFLING)
    written = 0b0110_1001_0011_0101_1100_0101_1010_0110
    told = np.zeros(96, np.int32)
    told[64:] = [5 * lane % 32 for lane in range(32)]
    data = card.put(told, "data")
    for lane in range(32):
        report = card.run(module, f"shuffle_{name}", (1,), (32,), data, np.uint32(written), np.uint32(lane))
        assert report.ok is bool(written >> source(lane) & 1), lane


@given(st.integers(0, 2**32 - 1), st.integers(0, 1))
def test_rows_and_columns_of_a_product(lanes, side):
    code = load_runtime()
    number = ctypes.c_uint32
    rows = ctypes.CFUNCTYPE(number, number)(code.address("sgpu_unwritten_rows"))
    columns = ctypes.CFUNCTYPE(number, number, number)(code.address("sgpu_unwritten_columns"))
    held = [lanes >> lane & 1 for lane in range(32)]
    by_row = [any(held[lane // 4 * 4 :][:4]) for lane in range(32)]
    by_column = [any(held[4 * (2 * (lane % 4) + side) :][:4]) for lane in range(32)]
    assert rows(lanes) == sum(flag << lane for lane, flag in enumerate(by_row))
    assert columns(lanes, side) == sum(flag << lane for lane, flag in enumerate(by_column))

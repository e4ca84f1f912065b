"""Kernels with so many accesses that their checks are shared functions: same results, same places of faults."""

import re

import numpy as np
import pytest

from simgpu.codegen.program import Variant, plan_program
from simgpu.module import generate
from simgpu.ptx.parser import parse_module
from tests.simgpu.core.test_simgpu_core_defects_planted import DEFECTS, SOURCE, THREADS, WORDS

CROWD = "__device__ __noinline__ void crowd(int* data, int bug) {" + "".join(
    f" data[{place} * bug] = data[{place} + bug] * {place};" for place in range(60)
)
CROWDED = re.sub(r"^(KERNEL\(\w+\) \{)$", r"\1 if (bug > 9) crowd(data, bug);", SOURCE, flags=re.MULTILINE).replace(
    "__device__ int table[64];", f"__device__ int table[64]; {CROWD} }}"
)
PLACED = (
    "store_past_the_end", "load_before_the_start", "scattered_store", "vector_past_the_end", "shared_overrun",
    "local_overrun", "odd_vector", "odd_shared_vector", "tree_without_barriers", "neighbouring_bytes", "unwritten_edge", "unwritten_local",
    "unwritten_workspace", "unwritten_half",
)  # fmt: skip


@pytest.mark.parametrize("kernel", PLACED)
def test_a_fault_in_a_shared_function_is_placed_at_the_access_that_called_it(card, compile_cuda, kernel):
    for bug in (0, 1):
        data = card.memory.allocate((2 if "unwritten_work" in kernel or "half" in kernel else 1) * 4 * WORDS, "data")
        card.memory.view(data, 4 * WORDS)[:] = np.arange(WORDS, dtype=np.int32).tobytes()
        report = card.run(compile_cuda(CROWDED), kernel, (1,), (THREADS,), data, np.int32(bug))
        assert len(report.diagnostics) == bug, report.diagnostics
    (found,) = report.diagnostics
    lines = {number for number, text in enumerate(CROWDED.splitlines(), 1) if text.endswith(f"// {kernel}")}
    assert (found.kind, found.line in lines) == (DEFECTS[kernel], True), found


ACCESSES = r"""
extern "C" __global__ void mixed(const float* x, const double2* pairs, const int* index, float* y, double* z, int n) {
  __shared__ float tile[64][9];
  int t = threadIdx.x;
  float sum = 0;
#pragma unroll
  for (int k = 0; k < 8; k++) tile[t][k] = x[k * 64 + t];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 8; k++) sum += tile[t ^ k][k] * x[k] * tile[8 * (t / 8)][k] + tile[k][7 - k];
  if (t % 3) {
#pragma unroll
    for (int k = 0; k < 8; k++) sum += x[index[k * 64 + t]] + tile[63 - t][k];
  }
  y[t] = sum;
  double2 p = pairs[t];
  if (t < n) { z[t] = p.x - p.y; ((double2*)z)[64 + t] = make_double2(p.y, p.x); }
}"""


def test_every_form_of_access_gives_the_same_with_checks_as_without(card, compile_cuda):
    rng = np.random.default_rng(4)
    x, pairs = rng.random(512, np.float32), rng.random(128)
    index = rng.integers(0, 512, 512).astype(np.int32)
    given = [card.put(array) for array in (x, pairs, index)]
    results = []
    for checks in (True, False):
        y, z = np.zeros(64, np.float32), np.zeros(256)
        places = card.put(y), card.put(z)
        report = card.run(
            compile_cuda(ACCESSES), "mixed", (1,), (64,), *given, *places, np.int32(49), checks=checks, threads=1
        )
        assert report.ok, report.diagnostics
        results.append([card.get(place, like) for place, like in zip(places, (y, z), strict=True)])
    for checked, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(checked, plain)
    tile = x.reshape(8, 64).T
    t = np.arange(64)
    sums = np.zeros(64)
    for k in range(8):
        sums += tile[t ^ k, k] * x[k] * tile[8 * (t // 8), k] + tile[k, 7 - k]
        sums += np.where(t % 3, x[index[k * 64 + t]] + tile[63 - t, k], 0)
    np.testing.assert_allclose(results[0][0], sums, rtol=1e-5)


TREE_TO_THE_LEFT = r"""
extern "C" __global__ void tree(float* out) {
  __shared__ float first[256], second[256];  // one of them lies at the very start of shared memory
  int t = threadIdx.x;
  first[t] = t;
  second[t] = 2 * t;
  __syncthreads();
#pragma unroll
  for (int i = 2; i <= 256; i *= 2) {
    if ((t + 1) % i == 0) {
      first[t] += first[t - i / 2];
      second[t] += second[t - i / 2];
    }
    __syncthreads();
  }
  if (t == 255) out[0] = first[t] + second[t];
}"""


def test_lanes_that_do_not_run_may_lie_before_shared_memory(card, compile_cuda):
    out = np.zeros(1, np.float32)
    place = card.put(out)
    report = card.run(compile_cuda(TREE_TO_THE_LEFT), "tree", (1,), (256,), place)
    assert report.ok, report.diagnostics
    assert card.get(place, out)[0] == 3 * sum(range(256))


def test_checks_of_many_accesses_of_one_form_are_written_once():
    loads = " ".join(f"ld.shared.f32 %v, [%a+{4 * place}]; add.f32 %s, %s, %v;" for place in range(200))
    text = f"""
.version 8.4
.target sm_90
.address_size 64
.visible .entry k()
{{
  .shared .align 4 .b8 box[4096];
  .reg .b32 %t, %a; .reg .f32 %v, %s;
  mov.u32 %t, %tid.x; shl.b32 %t, %t, 2; mov.u32 %a, box; add.u32 %a, %a, %t; mov.f32 %s, 0f00000000;
  {loads}
  st.shared.f32 [%a], %s;
  ret;
}}"""
    syntax = parse_module(text)
    sizes = []
    for checks in (True, False):
        program = plan_program(syntax, syntax.functions[0], Variant((32, 1, 1), checks=checks, counters=False))
        sizes.append(len(generate(program).splitlines()))
    assert sizes[0] < sizes[1] + 400 + 3 * 200  # each access also says which lanes read what nothing has written

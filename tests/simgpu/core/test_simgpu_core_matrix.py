"""Tensor-core instructions against numpy's products."""

import numpy as np
import pytest

LDMATRIX = r"""
#include <cuda_fp16.h>
extern "C" __global__ void gemm(const half* a, const half* b, float* d) {
  __shared__ __align__(16) half as[16 * 16], bs[16 * 8];
  int l = threadIdx.x;
  for (int i = l; i < 256; i += 32) as[i] = a[i];
  for (int i = l; i < 128; i += 32) bs[i] = b[i];
  __syncthreads();
  unsigned x[4], y[2];
  unsigned pa = (unsigned)__cvta_generic_to_shared(as + (l % 16) * 16 + l / 16 * 8);
  unsigned pb = (unsigned)__cvta_generic_to_shared(bs + (l % 16) * 8);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(pa));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(y[0]), "=r"(y[1]) : "r"(pb));
  float c[4] = {1, 1, 1, 1};
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  int g = l / 4, t = l % 4;
  d[g * 8 + 2 * t] = c[0]; d[g * 8 + 2 * t + 1] = c[1]; d[(g + 8) * 8 + 2 * t] = c[2]; d[(g + 8) * 8 + 2 * t + 1] = c[3];
}
"""
WMMA = r"""
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void gemm(const %(in)s* a, const %(in)s* b, %(out)s* d, int n) {
  wmma::fragment<wmma::matrix_a, 16, 16, %(k)d, %(frag)s, wmma::%(la)s> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, %(k)d, %(frag)s, wmma::%(lb)s> fb;
  wmma::fragment<wmma::accumulator, 16, 16, %(k)d, %(out)s> fc;
  wmma::fill_fragment(fc, (%(out)s)0);
  for (int k = 0; k < n; k += %(k)d) {
    wmma::load_matrix_sync(fa, a + k * (%(la_row)d ? 1 : 16), %(la_row)d ? n : 16);
    wmma::load_matrix_sync(fb, b + k * (%(lb_row)d ? 16 : 1), %(lb_row)d ? 16 : n);
    wmma::mma_sync(fc, fa, fb, fc);
  }
  for (int i = 0; i < fc.num_elements; i++) fc.x[i] = fc.x[i] * (%(out)s)2;
  wmma::store_matrix_sync(d, fc, 16, wmma::mem_row_major);
}
"""


def test_ldmatrix_and_mma(card, compile_cuda):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 16)).astype(np.float16), rng.standard_normal((16, 8)).astype(np.float16)
    d = card.put(np.zeros((16, 8), np.float32))
    report = card.run(compile_cuda(LDMATRIX), "gemm", (1,), (32,), card.put(a), card.put(b), d, counters=True)
    assert report.ok, report.diagnostics
    assert report.counters.instructions["tensor"] == 1
    assert report.counters.thread_flops["tensor_fp16"] == 2 * 16 * 8 * 16
    exact = a.astype(np.float64) @ b.astype(np.float64) + 1
    assert np.abs(card.get(d, np.zeros((16, 8), np.float32)) - exact).max() < 1e-5


FORMS = {
    "half to single": ("half", "half", "float", 16, np.float16, np.float32),
    "half to half": ("half", "half", "half", 16, np.float16, np.float16),
    "bfloat": ("__nv_bfloat16", "__nv_bfloat16", "float", 16, "bf16", np.float32),
    "tf32": ("float", "wmma::precision::tf32", "float", 8, "tf32", np.float32),
    "bytes": ("signed char", "signed char", "int", 16, np.int8, np.int32),
}


@pytest.mark.parametrize("layouts", ["row_row", "row_col", "col_row"])
@pytest.mark.parametrize("form", list(FORMS))
def test_wmma_products(card, compile_cuda, form, layouts):
    given, fragment, out, depth, dtype, result = FORMS[form]
    if form == "bytes" and layouts != "row_col":
        layouts = "row_row"
    la, lb = layouts.split("_")
    source = WMMA % {
        "in": given, "frag": fragment, "out": out, "k": depth, "la": f"{la}_major", "lb": f"{lb}_major",
        "la_row": la == "row", "lb_row": lb == "row",
    }  # fmt: skip
    n, rng = 48, np.random.default_rng(1)
    if dtype is np.int8:
        a, b = rng.integers(-128, 128, (16, n)).astype(np.int8), rng.integers(-128, 128, (n, 16)).astype(np.int8)
        sent = [a, b]
    else:
        a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, n), (n, 16)))
        if dtype in ("bf16", "tf32"):
            keep = np.uint32(0xFFFF0000 if dtype == "bf16" else 0xFFFFE000)
            a, b = ((x.view(np.uint32) & keep).view(np.float32) for x in (a, b))
            sent = [(x.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bf16" else x for x in (a, b)]
        else:
            a, b = a.astype(dtype), b.astype(dtype)
            sent = [a, b]
    sent = [np.ascontiguousarray(x if side == "row" else x.T) for x, side in zip(sent, (la, lb), strict=True)]
    d = card.put(np.zeros((16, 16), result))
    module = compile_cuda("#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n" + source)
    report = card.run(module, "gemm", (1,), (32,), card.put(sent[0]), card.put(sent[1]), d, np.int32(n))
    assert report.ok, report.diagnostics
    exact = 2 * (a.astype(np.float64) @ b.astype(np.float64))
    tolerance = {np.float16: 0.05, np.float32: 1e-4, np.int32: 0}[result]
    assert np.abs(card.get(d, np.zeros((16, 16), result)).astype(np.float64) - exact).max() <= tolerance

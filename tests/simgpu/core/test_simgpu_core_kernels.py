"""Whole kernels compiled by nvcc, against numpy."""

import numpy as np
import pytest

from simgpu import LaunchOptions

SOFTMAX = r"""
extern "C" __global__ void softmax(const float* x, float* y, int n) {
  __shared__ float red[32];
  const float* row = x + (size_t)blockIdx.x * n;
  float m = -INFINITY;
  for (int i = threadIdx.x; i < n; i += blockDim.x) m = fmaxf(m, row[i]);
  for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(~0u, m, o));
  if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = m;
  __syncthreads();
  m = red[0];
  for (int i = 1; i < blockDim.x / 32; i++) m = fmaxf(m, red[i]);
  __syncthreads();
  float s = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) s += expf(row[i] - m);
  for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);
  if (threadIdx.x % 32 == 0) red[threadIdx.x / 32] = s;
  __syncthreads();
  s = 0;
  for (int i = 0; i < blockDim.x / 32; i++) s += red[i];
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[(size_t)blockIdx.x * n + i] = expf(row[i] - m) / s;
}
"""
SGEMM = r"""
extern "C" __global__ void sgemm(const float* A, const float* B, float* C, int n) {
  __shared__ float As[16][16], Bs[16][16];
  int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
  float acc = 0;
  for (int t = 0; t < (n + 15) / 16; t++) {
    As[ty][tx] = row < n && t * 16 + tx < n ? A[row * n + t * 16 + tx] : 0.f;
    Bs[ty][tx] = col < n && t * 16 + ty < n ? B[(t * 16 + ty) * n + col] : 0.f;
    __syncthreads();
    for (int k = 0; k < 16; k++) acc += As[ty][k] * Bs[k][tx];
    __syncthreads();
  }
  if (row < n && col < n) C[row * n + col] = acc;
}
"""


@pytest.mark.parametrize("size", [1, 31, 1000, 4096])
def test_vector_add(card, compile_cuda, size):
    module = compile_cuda('extern "C" __global__ void add(const float* a, const float* b, float* c, int n) {'
                          "int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) c[i] = a[i] + b[i]; }")  # fmt: skip
    a, b = np.random.default_rng(size).standard_normal((2, size), np.float32)
    out = card.put(np.zeros_like(a))
    report = card.run(module, "add", (-(-size // 128),), (128,), card.put(a), card.put(b), out, np.int32(size))
    assert report.ok
    assert np.array_equal(card.get(out, a), a + b)


@pytest.mark.parametrize(("width", "threads"), [(5, 32), (100, 64), (1000, 256), (1023, 1024)])
def test_row_softmax(card, compile_cuda, width, threads):
    x = np.random.default_rng(0).standard_normal((6, width), np.float32)
    out = card.put(np.zeros_like(x))
    assert card.run(compile_cuda(SOFTMAX), "softmax", (6,), (threads,), card.put(x), out, np.int32(width)).ok
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert np.abs(card.get(out, x) / (e / e.sum(1, keepdims=True)) - 1).max() < 1e-6


@pytest.mark.parametrize("n", [16, 50, 128])
def test_tiled_matrix_product(card, compile_cuda, n):
    a, b = np.random.default_rng(n).standard_normal((2, n, n), np.float32)
    out = card.put(np.zeros_like(a))
    tiles = -(-n // 16)
    assert card.run(
        compile_cuda(SGEMM), "sgemm", (tiles, tiles), (16, 16), card.put(a), card.put(b), out, np.int32(n)
    ).ok
    assert np.abs(card.get(out, a) - a.astype(np.float64) @ b).max() < 1e-4


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_reduction_with_atomics_in_any_order(card, compile_cuda, seed):
    module = compile_cuda(r"""
extern "C" __global__ void reduce(const int* x, int* total, int n) {
  extern __shared__ int part[];
  int s = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) s += x[i];
  part[threadIdx.x] = s;
  __syncthreads();
  for (int o = blockDim.x / 2; o; o >>= 1) {
    if (threadIdx.x < o) part[threadIdx.x] += part[threadIdx.x + o];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(total, part[0]);
}""")
    x = np.random.default_rng(3).integers(-1000, 1000, 10000).astype(np.int32)
    total = card.put(np.zeros(1, np.int32))
    report = card.run(
        module, "reduce", (7,), (128,), card.put(x), total, np.int32(x.size), shared=512, schedule_seed=seed
    )
    assert report.ok, report.diagnostics
    assert card.get(total, np.zeros(1, np.int32))[0] == x.sum()


def test_divergent_loops_and_early_exits(card, compile_cuda):
    """Collatz steps: each lane loops its own number of times, with breaks, continues and nested branches."""
    module = compile_cuda(r"""
extern "C" __global__ void collatz(const unsigned* x, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = x[i];
  int steps = 0, odd = 0;
  while (true) {
    if (v <= 1) break;
    steps++;
    if (steps > 90) { odd = -odd; break; }
    if (v % 2 == 0) { v /= 2; continue; }
    for (int k = 0; k < (int)(v % 3); k++) { if (k == 1) { odd += 10; continue; } odd++; }
    v = 3 * v + 1;
  }
  out[i] = steps * 1000 + odd;
}""")
    x = np.arange(300, dtype=np.uint32)

    def expected(v):
        steps = odd = 0
        while v > 1:
            steps += 1
            if steps > 90:
                odd = -odd
                break
            if v % 2 == 0:
                v //= 2
                continue
            for k in range(v % 3):
                odd += 10 if k == 1 else 1
            v = 3 * v + 1
        return steps * 1000 + odd

    out = card.put(np.zeros(300, np.int32))
    assert card.run(module, "collatz", (3,), (128,), card.put(x), out, np.int32(300)).ok
    assert card.get(out, np.zeros(300, np.int32)).tolist() == [expected(int(v)) for v in x]


def test_switch_and_function_calls(card, compile_cuda):
    module = compile_cuda(r"""
__device__ __noinline__ int power(int base, int times) { int r = 1; for (int i = 0; i < times; i++) r *= base; return r; }
__device__ __noinline__ int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
struct Pair { int a; double b; };
__device__ __noinline__ Pair twist(Pair p, int k) { Pair r; r.a = p.a * k; r.b = p.b + k; return r; }
extern "C" __global__ void mix(int* out) {
  int t = threadIdx.x, r;
  switch (t % 7) {
    case 0: r = power(3, t % 5); break;
    case 1: r = fib(t % 9); break;
    case 2: { Pair p{t, t * 0.5}; Pair q = twist(p, 3); r = q.a + (int)(q.b * 2); break; }
    case 3: r = -t; break;
    case 5: r = t * t; break;
    default: r = 7;
  }
  out[t] = r;
}""")

    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    def expected(t):
        match t % 7:
            case 0:
                return 3 ** (t % 5)
            case 1:
                return fib(t % 9)
            case 2:
                return 3 * t + int((t * 0.5 + 3) * 2)
            case 3:
                return -t
            case 5:
                return t * t
        return 7

    out = card.put(np.zeros(100, np.int32))
    report = card.run(module, "mix", (1,), (100,), out)
    assert report.ok, report.diagnostics
    assert card.get(out, np.zeros(100, np.int32)).tolist() == [expected(t) for t in range(100)]


def test_local_arrays_and_generic_pointers(card, compile_cuda):
    module = compile_cuda(r"""
__device__ __noinline__ int pick(const int* p, int i) { return p[i]; }
extern "C" __global__ void scramble(int* out, int n) {
  __shared__ int box[64];
  int mine[8];
  int t = threadIdx.x;
  for (int i = 0; i < 8; i++) mine[(i * 3 + t) & 7] = i * 100 + t;
  box[t] = t * t;
  __syncthreads();
  const int* where = t % 2 ? mine : box;
  out[t] = pick(where, n & 7) + mine[t & 7];
}""")
    out = card.put(np.zeros(64, np.int32))
    report = card.run(module, "scramble", (1,), (64,), out, np.int32(5))
    assert report.ok, report.diagnostics

    def expected(t):
        mine = [0] * 8
        for i in range(8):
            mine[(i * 3 + t) & 7] = i * 100 + t
        return (mine[5] if t % 2 else 25) + mine[t & 7]

    assert card.get(out, np.zeros(64, np.int32)).tolist() == [expected(t) for t in range(64)]


def test_constants_and_device_variables(card, compile_cuda):
    module = compile_cuda(r"""
__constant__ float table[4] = {1.5f, 2.5f, -3.f, 4.f};
__device__ int counter = 40;
__device__ const int* where = &counter;
extern "C" __global__ void use(float* out) { out[threadIdx.x] = table[threadIdx.x & 3] + *where; if (threadIdx.x == 0) counter = 41; }
""")
    out = card.put(np.zeros(32, np.float32))
    assert card.run(module, "use", (1,), (32,), out).ok
    assert card.get(out, np.zeros(32, np.float32)).tolist() == [40 + [1.5, 2.5, -3.0, 4.0][t & 3] for t in range(32)]
    variable = module.globals["counter"]
    assert np.frombuffer(card.memory.view(variable.address, 4), np.int32)[0] == 41


def test_vector_accesses_and_asynchronous_copies(card, compile_cuda):
    module = compile_cuda(r"""
#include <cuda_pipeline.h>
extern "C" __global__ void turn(const float4* x, float4* y, const float* z, float* w) {
  __shared__ float4 tile[64];
  __shared__ float single[64];
  int t = threadIdx.x;
  __pipeline_memcpy_async(&tile[t], &x[blockIdx.x * 64 + t], 16);
  __pipeline_memcpy_async(&single[63 - t], &z[t], 4);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  float4 v = tile[63 - t];
  y[blockIdx.x * 64 + t] = make_float4(v.w, v.z, v.y, v.x);
  w[t] = single[t];
}""")
    x = np.random.default_rng(1).standard_normal((2, 64, 4), np.float32)
    z = np.arange(64, dtype=np.float32)
    y, w = card.put(np.zeros_like(x)), card.put(z)
    assert card.run(module, "turn", (2,), (64,), card.put(x), y, card.put(z), w).ok
    assert np.array_equal(card.get(y, x), x[:, ::-1, ::-1])
    assert np.array_equal(card.get(w, z), z[::-1])


def test_warp_functions(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void warp(unsigned* out, int step) {
  int t = threadIdx.x; unsigned v = t * 7 + 3; unsigned* o = out + t;
  o[0 * 32] = __shfl_up_sync(~0u, v, 3);
  o[1 * 32] = __shfl_down_sync(~0u, v, 5, 16);
  o[2 * 32] = __shfl_sync(~0u, v, t / 4 + step);
  o[3 * 32] = __shfl_sync(~0u, v, 9, 8);
  o[4 * 32] = __ballot_sync(~0u, t % 3 == 0);
  o[5 * 32] = __all_sync(~0u, t < 32) + 2 * __any_sync(~0u, t == 40);
  o[6 * 32] = __match_any_sync(~0u, t / 5);
  o[7 * 32] = __reduce_add_sync(~0u, v);
  o[8 * 32] = __reduce_max_sync(~0u, v) + __reduce_min_sync(~0u, v);
  if (t % 2) o[9 * 32] = __activemask(); else o[9 * 32] = 1;
  int all; __match_all_sync(~0u, 5, &all); o[10 * 32] = all;
}""")
    out = card.put(np.zeros((11, 32), np.uint32))
    assert card.run(module, "warp", (1,), (32,), out, np.int32(2)).ok
    got = card.get(out, np.zeros((11, 32), np.uint32))
    t = np.arange(32)
    v = t * 7 + 3
    assert got[0].tolist() == np.where(t >= 3, v[t - 3], v).tolist()
    assert got[1].tolist() == [int(v[i + 5]) if i % 16 + 5 < 16 else int(v[i]) for i in range(32)]
    assert got[2].tolist() == v[t // 4 + 2].tolist()
    assert got[3].tolist() == v[t // 8 * 8 + 1].tolist()
    assert set(got[4].tolist()) == {sum(1 << i for i in range(0, 32, 3))}
    assert set(got[5].tolist()) == {1}
    assert got[6].tolist() == [sum(1 << j for j in range(32) if j // 5 == i // 5) for i in range(32)]
    assert set(got[7].tolist()) == {int(v.sum())}
    assert set(got[8].tolist()) == {int(v.max() + v.min())}
    assert got[9].tolist() == [0xAAAAAAAA if i % 2 else 1 for i in range(32)]
    assert set(got[10].tolist()) == {1}


def test_atomics(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void atoms(int* i, unsigned* u, float* f, double* d, unsigned long long* l, int* old) {
  __shared__ int box; int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0) box = 0;
  __syncthreads();
  atomicAdd(&box, threadIdx.x);
  old[t] = atomicAdd(i, 1); atomicMax(i + 1, t); atomicMin(i + 2, -t); atomicOr(i + 3, 1 << (t % 31)); atomicXor(i + 4, t);
  atomicInc(u, 9); atomicDec(u + 1, 6); atomicAdd(f, 0.5f); atomicAdd(d, 0.25); atomicAdd(l, 1ull << 33);
  int seen = i[5]; while (true) { int was = atomicCAS(i + 5, seen, seen + 2); if (was == seen) break; seen = was; }
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(i + 6, box);
}""")
    n = 4 * 96
    i, u = card.put(np.zeros(7, np.int32)), card.put(np.zeros(2, np.uint32))
    f, d, long = card.put(np.zeros(1, np.float32)), card.put(np.zeros(1)), card.put(np.zeros(1, np.uint64))
    old = card.put(np.zeros(n, np.int32))
    report = card.run(module, "atoms", (4,), (96,), i, u, f, d, long, old)
    assert report.ok, report.diagnostics
    got = card.get(i, np.zeros(7, np.int32))
    assert got.tolist() == [
        n,
        n - 1,
        1 - n,
        2**31 - 1,
        int(np.bitwise_xor.reduce(np.arange(n))),
        2 * n,
        4 * sum(range(96)),
    ]
    assert sorted(card.get(old, np.zeros(n, np.int32)).tolist()) == list(range(n))
    down, value = [], 0
    for _ in range(n):
        value = 6 if value in {0, *down} else value - 1
    assert card.get(u, np.zeros(2, np.uint32)).tolist() == [n % 10, value]
    assert card.get(f, np.zeros(1, np.float32))[0] == n / 2
    assert card.get(d, np.zeros(1))[0] == n / 4
    assert card.get(long, np.zeros(1, np.uint64))[0] == n << 33


def test_half_precision_kernel(card, compile_cuda):
    module = compile_cuda(r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
extern "C" __global__ void halves(const __half2* a, const __half2* b, __half2* c, const __nv_bfloat16* x, __nv_bfloat16* y) {
  int t = threadIdx.x;
  c[t] = __hfma2(a[t], b[t], __float2half2_rn(0.5f));
  y[t] = __hmul(x[t], __float2bfloat16(3.0f));
}""")
    a, b = np.random.default_rng(0).standard_normal((2, 128)).astype(np.float16)
    x = (np.random.default_rng(1).standard_normal(64).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    c, y = card.put(a), card.put(x)
    assert card.run(module, "halves", (1,), (64,), card.put(a), card.put(b), c, card.put(x), y).ok
    assert np.array_equal(card.get(c, a), (a.astype(np.float64) * b + 0.5).astype(np.float16))
    exact = (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64) * 3
    got = (card.get(y, x).astype(np.uint32) << 16).view(np.float32)
    assert np.abs(got / exact - 1).max() <= 2.0**-8


def test_bar_red_and_named_barriers(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void votes(int* out) {
  __shared__ int box[64];
  int t = threadIdx.x;
  out[t] = __syncthreads_count(t % 5 == 0) * 100 + __syncthreads_and(t < 128) * 10 + __syncthreads_or(t == 77);
  if (t < 64) { box[t] = t; asm volatile("bar.sync 3, 64;" ::: "memory"); out[128 + t] = box[63 - t]; }
}""")
    out = card.put(np.zeros(192, np.int32))
    report = card.run(module, "votes", (1,), (128,), out)
    assert report.ok, report.diagnostics
    got = card.get(out, np.zeros(192, np.int32)).tolist()
    assert set(got[:128]) == {26 * 100 + 10 + 1}
    assert got[128:] == list(range(63, -1, -1))


def test_a_spinning_consumer_lets_the_producer_run(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void relay(int* out) {
  __shared__ volatile int flag; __shared__ volatile int value;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x == 0) { while (flag == 0) {} out[0] = value; }
  if (threadIdx.x == 32) { value = 42; __threadfence_block(); flag = 1; }
}""")
    out = card.put(np.zeros(1, np.int32))
    report = card.run(module, "relay", (1,), (64,), out)
    assert report.ok, report.diagnostics
    assert card.get(out, np.zeros(1, np.int32))[0] == 42


@pytest.mark.parametrize(
    "block", [(7, 5, 3), (8, 4, 2), (16, 16, 1), (32, 2, 2), (64, 3, 1), (3, 1, 1), (48, 2, 1), (1, 64, 1), (1, 1, 64)]
)
def test_thread_numbers_in_blocks_of_any_form(card, compile_cuda, block):
    module = compile_cuda(r"""
extern "C" __global__ void where(int* out) {
  int linear = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[linear] = threadIdx.x + 100 * threadIdx.y + 10000 * threadIdx.z;
}""")
    count = int(np.prod(block))
    out = card.put(np.zeros(count, np.int32))
    assert card.run(module, "where", (1,), block, out).ok
    expected = [x + 100 * y + 10000 * z for z in range(block[2]) for y in range(block[1]) for x in range(block[0])]
    assert card.get(out, np.zeros(count, np.int32)).tolist() == expected


def test_an_unsigned_index_may_wrap_around(card, compile_cuda):
    """Lane 0's index wraps to the top of 32 bits; the others' addresses must not follow it."""
    module = compile_cuda(r"""
extern "C" __global__ void shift(const int* x, int* y, unsigned n) {
  unsigned i = threadIdx.x - 1u;
  y[threadIdx.x] = i < n ? x[i] : -1;
}""")
    x = np.arange(64, dtype=np.int32)
    y = card.put(x)
    assert card.run(module, "shift", (1,), (64,), card.put(x), y, np.uint32(64)).ok
    assert card.get(y, x).tolist() == [-1, *range(63)]


def test_options_default_to_checks_without_counters():
    options = LaunchOptions()
    assert options.checks
    assert not options.counters


def test_printf(card, compile_cuda):
    module = compile_cuda(
        r"""
#include <cstdio>
extern "C" __global__ void say(int n) {
  if (threadIdx.x % 2 == 0) printf("%s %d of %lld: %5.2f%% %c 0x%x\\n", "thread", threadIdx.x, 1ll << 40, n * 0.5, 'k', 255u);
  if (threadIdx.x == 3) printf("done\\n");
}""".replace("\\\\", "\\")
    )
    report = card.run(module, "say", (1,), (4,), np.int32(7))
    assert report.ok, report.diagnostics
    lines = [f"thread {t} of {1 << 40}:  3.50% k 0xff" for t in (0, 2)]
    assert report.printed.splitlines() == [*lines, "done"]

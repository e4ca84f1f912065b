// Reductions in many styles: one number, or one for each block, out of a vector.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace cg = cooperative_groups;

extern "C" __global__ void sum_interleaved(const int* x, int* out, int n) {
  extern __shared__ int part[];
  unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  part[t] = i < n ? x[i] : 0;
  __syncthreads();
  for (unsigned s = 1; s < blockDim.x; s *= 2) {
    if (t % (2 * s) == 0) part[t] += part[t + s];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = part[0];
}

extern "C" __global__ void sum_sequential(const float* x, float* out, int n) {
  extern __shared__ float buffer[];
  unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x * 2 + t;
  buffer[t] = (i < n ? x[i] : 0) + (i + blockDim.x < n ? x[i + blockDim.x] : 0);
  __syncthreads();
  for (unsigned s = blockDim.x / 2; s > 0; s >>= 1) {
    if (t < s) buffer[t] += buffer[t + s];
    __syncthreads();
  }
  if (t == 0) out[blockIdx.x] = buffer[0];
}

template <int SIZE>
__device__ void finish_in_warp(volatile double* v, int t) {
  double sum = v[t];
  if (SIZE >= 64) { v[t] = sum = sum + v[t + 32]; __syncwarp(); }
#pragma unroll
  for (int o = 16; o; o /= 2) {
    double other = v[t + o];
    __syncwarp();
    v[t] = sum = sum + other;
    __syncwarp();
  }
}

extern "C" __global__ void sum_unrolled_double(const double* x, double* out, int n) {
  __shared__ double v[128];
  int t = threadIdx.x;
  v[t] = 0;
  for (int i = blockIdx.x * 128 + t; i < n; i += gridDim.x * 128) v[t] += x[i];
  __syncthreads();
  if (t < 64) v[t] += v[t + 64];
  __syncthreads();
  if (t < 32) finish_in_warp<64>(v, t);
  if (t == 0) out[blockIdx.x] = v[0];
}

template <typename T>
__device__ T warp_sum(T v) {
#pragma unroll
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
  return v;
}

template <typename T>
__device__ T block_sum(T v) {
  __shared__ T each[32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  v = warp_sum(v);
  if (lane == 0) each[warp] = v;
  __syncthreads();
  v = threadIdx.x < blockDim.x / 32 ? each[lane] : T(0);
  return warp == 0 ? warp_sum(v) : v;
}

extern "C" __global__ void sum_shuffle_atomic(const float* x, float* out, int n) {
  float v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  v = block_sum(v);
  if (threadIdx.x == 0) atomicAdd(out, v);
}

extern "C" __global__ void sum_groups(const int* x, int* out, int n) {
  auto block = cg::this_thread_block();
  auto tile = cg::tiled_partition<16>(block);
  __shared__ int total;
  if (block.thread_rank() == 0) total = 0;
  block.sync();
  int v = 0;
  for (int i = cg::this_grid().thread_rank(); i < n; i += cg::this_grid().size()) v += x[i];
  v = cg::reduce(tile, v, cg::plus<int>());
  if (tile.thread_rank() == 0) atomicAdd(&total, v);
  block.sync();
  if (block.thread_rank() == 0) atomicAdd(out, total);
}

extern "C" __global__ void max_in_groups(const unsigned* x, unsigned* out, int n) {
  auto tile = cg::tiled_partition<32>(cg::this_thread_block());
  int i = cg::this_grid().thread_rank();
  unsigned v = cg::reduce(tile, i < n ? x[i] : 0u, cg::greater<unsigned>());
  if (tile.thread_rank() == 0) atomicMax(out, v);
}

extern "C" __global__ void sum_half_wide(const half* x, float* out, int n) {
  float v = 0;
  const half2* pairs = reinterpret_cast<const half2*>(x);
  for (int i = threadIdx.x; i < n / 2; i += blockDim.x) {
    float2 p = __half22float2(pairs[i]);
    v += p.x + p.y;
  }
  if (n % 2 && threadIdx.x == 0) v += __half2float(x[n - 1]);
  v = block_sum(v);
  if (threadIdx.x == 0) *out = v;
}

extern "C" __global__ void sum_bf16(const __nv_bfloat16* x, float* out, int n) {
  float v = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) v += __bfloat162float(x[i]);
  v = block_sum(v);
  if (threadIdx.x == 0) *out = v;
}

extern "C" __global__ void dot_bytes(const int* a, const int* b, int* out, int words) {
  int v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x) v = __dp4a(a[i], b[i], v);
  v = block_sum(v);
  if (threadIdx.x == 0) atomicAdd(out, v);
}

extern "C" __global__ void dot_mixed_signs(const unsigned* a, const unsigned* b, unsigned* out, int words) {
  unsigned v = 0;
  for (int i = threadIdx.x; i < words; i += blockDim.x) v = __dp4a(a[i], b[i], v);
  v = block_sum(v);
  if (threadIdx.x == 0) *out = v;
}

// The largest value and its first place in one 64-bit key: ordered bits above, the complement of the index below.
extern "C" __global__ void argmax(const float* x, unsigned long long* best, int n) {
  unsigned long long key = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    unsigned bits = __float_as_uint(x[i]);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    key = max(key, (unsigned long long)bits << 32 | (unsigned)~i);
  }
  for (int o = 16; o; o >>= 1) key = max(key, __shfl_xor_sync(~0u, key, o));
  if (threadIdx.x % 32 == 0) atomicMax(best, key);
}

#if __CUDA_ARCH__ >= 800  // redux
extern "C" __global__ void extremes_redux(const int* x, int* lowest, int* highest, unsigned* any, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = i < n ? x[i] : x[0];
  int low = __reduce_min_sync(~0u, v), high = __reduce_max_sync(~0u, v);
  unsigned bits = __reduce_or_sync(~0u, (unsigned)v);
  if (threadIdx.x % 32 == 0) {
    atomicMin(lowest, low);
    atomicMax(highest, high);
    atomicOr(any, bits);
  }
}
#endif

struct Moments { float mean, m2, count; };

__device__ Moments merge(Moments a, Moments b) {
  float count = a.count + b.count, delta = b.mean - a.mean;
  if (count == 0) return a;
  return {a.mean + delta * b.count / count, a.m2 + b.m2 + delta * delta * a.count * b.count / count, count};
}

extern "C" __global__ void variance_rows(const float* x, float2* out, int width) {
  Moments m = {0, 0, 0};
  for (int i = threadIdx.x; i < width; i += 32) m = merge(m, {x[blockIdx.x * width + i], 0, 1});
  for (int o = 16; o; o >>= 1)
    m = merge(m, {__shfl_xor_sync(~0u, m.mean, o), __shfl_xor_sync(~0u, m.m2, o), __shfl_xor_sync(~0u, m.count, o)});
  if (threadIdx.x == 0) out[blockIdx.x] = make_float2(m.mean, m.m2 / m.count);
}

// The block that finishes last adds up what the others left behind.
extern "C" __global__ void sum_last_block(const int* x, volatile int* partial, unsigned* ticket, int* out, int n) {
  __shared__ bool last;
  int v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  v = block_sum(v);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = v;
    __threadfence();
    last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  v = threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0;
  __syncthreads();
  v = block_sum(v);
  if (threadIdx.x == 0) *out = v;
}

extern "C" __global__ void column_sums(const float* x, float* out, int rows, int columns) {
  __shared__ float part[8][33];
  int c = blockIdx.x * 32 + threadIdx.x;
  float v = 0;
  if (c < columns)
    for (int r = threadIdx.y; r < rows; r += 8) v += x[r * columns + c];
  part[threadIdx.y][threadIdx.x] = v;
  __syncthreads();
  if (threadIdx.y || c >= columns) return;
  for (int k = 1; k < 8; k++) v += part[k][threadIdx.x];
  out[c] = v;
}

extern "C" __global__ void norm_int64(const int* x, long long* out, int n) {
  long long v = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) v += (long long)x[i] * x[i];
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
  if (threadIdx.x % 32 == 0) atomicAdd((unsigned long long*)out, (unsigned long long)v);
}

// Softmax and normalisation of rows, in several styles.
#include <cuda_fp16.h>

#define FULL 0xffffffffu

struct Sum { __device__ float operator()(float a, float b) const { return a + b; } };
struct Largest { __device__ float operator()(float a, float b) const { return fmaxf(a, b); } };

template <typename F>
__device__ float warp_all(float v, F f) {
  for (int o = 16; o; o >>= 1) v = f(v, __shfl_xor_sync(FULL, v, o));
  return v;
}

template <typename F>
__device__ float block_all(float v, float neutral, F f) {
  __shared__ float each[32];
  v = warp_all(v, f);
  __syncthreads();
  if (threadIdx.x % 32 == 0) each[threadIdx.x / 32] = v;
  __syncthreads();
  v = threadIdx.x % 32 < (blockDim.x + 31) / 32 ? each[threadIdx.x % 32] : neutral;
  return warp_all(v, f);
}

extern "C" __global__ void softmax_naive(const float* x, float* y, int rows, int width) {
  int r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= rows) return;
  float m = -INFINITY, s = 0;
  for (int i = 0; i < width; i++) m = fmaxf(m, x[r * width + i]);
  for (int i = 0; i < width; i++) s += y[r * width + i] = expf(x[r * width + i] - m);
  for (int i = 0; i < width; i++) y[r * width + i] /= s;
}

extern "C" __global__ void softmax_safe(const float* x, float* y, int width) {
  const float* row = x + (size_t)blockIdx.x * width;
  float m = -INFINITY, s = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) m = fmaxf(m, row[i]);
  m = block_all(m, -INFINITY, Largest());
  for (int i = threadIdx.x; i < width; i += blockDim.x) s += __expf(row[i] - m);
  s = block_all(s, 0.f, Sum());
  for (int i = threadIdx.x; i < width; i += blockDim.x) y[(size_t)blockIdx.x * width + i] = __expf(row[i] - m) / s;
}

struct __align__(8) Running { float largest, sum; };

__device__ Running merge(Running a, Running b) {
  bool keep = a.largest > b.largest;
  Running high = keep ? a : b, low = keep ? b : a;
  if (low.sum > 0) high.sum += low.sum * expf(low.largest - high.largest);
  return high;
}

// One warp for each row, largest element and sum in one pass.
extern "C" __global__ void softmax_online(const float* x, float* y, int rows, int width) {
  int r = blockIdx.x * blockDim.y + threadIdx.y;
  if (r >= rows) return;
  Running own = {-INFINITY, 0};
  for (int i = threadIdx.x; i < width; i += 32) own = merge(own, {x[r * width + i], 1});
  for (int o = 16; o; o >>= 1)
    own = merge(own, {__shfl_xor_sync(FULL, own.largest, o), __shfl_xor_sync(FULL, own.sum, o)});
  for (int i = threadIdx.x; i < width; i += 32) __stcs(&y[r * width + i], expf(x[r * width + i] - own.largest) / own.sum);
}

extern "C" __global__ void softmax_half(const half2* x, half2* y, int pairs) {
  const half2* row = x + blockIdx.x * pairs;
  float m = -INFINITY, s = 0;
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    half2 v = row[i];
    m = fmaxf(m, __half2float(__hmax(__low2half(v), __high2half(v))));
  }
  m = block_all(m, -INFINITY, Largest());
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    float2 v = __half22float2(row[i]);
    s += expf(v.x - m) + expf(v.y - m);
  }
  s = block_all(s, 0.f, Sum());
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    float2 v = __half22float2(row[i]);
    y[blockIdx.x * pairs + i] = __floats2half2_rn(expf(v.x - m) / s, expf(v.y - m) / s);
  }
}

// The row stays in registers, up to 8 elements for each lane.
extern "C" __global__ void log_softmax_registers(const float* x, float* y, int rows, int width) {
  int r = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (r >= rows) return;
  float own[8], m = -INFINITY, s = 0;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    int i = k * 32 + lane;
    own[k] = i < width ? x[r * width + i] : -INFINITY;
    m = fmaxf(m, own[k]);
  }
  m = warp_all(m, Largest());
#pragma unroll
  for (int k = 0; k < 8; k++) s += expf(own[k] - m);
  s = m + logf(warp_all(s, Sum()));
#pragma unroll
  for (int k = 0; k < 8; k++)
    if (k * 32 + lane < width) y[r * width + k * 32 + lane] = own[k] - s;
}

extern "C" __global__ void layernorm_block(const float* x, const float* weight, const float* bias, float* y, float* mean,
                                           float* rstd, int width) {
  const float* row = x + blockIdx.x * width;
  float s = 0, q = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) s += row[i];
  float mu = block_all(s, 0.f, Sum()) / width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) q += (row[i] - mu) * (row[i] - mu);
  float r = rsqrtf(block_all(q, 0.f, Sum()) / width + 1e-5f);
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    y[blockIdx.x * width + i] = (row[i] - mu) * r * __ldg(weight + i) + __ldg(bias + i);
  if (threadIdx.x == 0) mean[blockIdx.x] = mu, rstd[blockIdx.x] = r;
}

// Rows in shared memory, loaded and stored by float4.
extern "C" __global__ void layernorm_packs(const float4* x, const float4* weight, float4* y, int packs) {
  extern __shared__ float4 row[];
  float s = 0, q = 0;
  for (int i = threadIdx.x; i < packs; i += 32) {
    float4 v = row[i] = x[blockIdx.x * packs + i];
    s += v.x + v.y + v.z + v.w;
    q += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  s = warp_all(s, Sum()) / (4 * packs);
  q = rsqrtf(warp_all(q, Sum()) / (4 * packs) - s * s + 1e-5f);
  for (int i = threadIdx.x; i < packs; i += 32) {
    float4 v = row[i], w = weight[i];
    y[blockIdx.x * packs + i] = make_float4((v.x - s) * q * w.x, (v.y - s) * q * w.y, (v.z - s) * q * w.z, (v.w - s) * q * w.w);
  }
}

extern "C" __global__ void rmsnorm_half(const half* x, const half* weight, half* y, int width, float epsilon) {
  float q = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    float v = __half2float(x[blockIdx.x * width + i]);
    q += v * v;
  }
  __shared__ float scale;
  q = block_all(q, 0.f, Sum());
  if (threadIdx.x == 0) scale = 1.f / sqrtf(q / width + epsilon);
  __syncthreads();
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    y[blockIdx.x * width + i] = __float2half(__half2float(x[blockIdx.x * width + i]) * scale * __half2float(weight[i]));
}

extern "C" __global__ void layernorm_backward(const float* dy, const float* x, const float* weight, const float* mean,
                                              const float* rstd, float* dx, float* dweight, float* dbias, int width) {
  int row = blockIdx.x * width;
  float mu = mean[blockIdx.x], r = rstd[blockIdx.x], s = 0, q = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    float hat = (x[row + i] - mu) * r, g = dy[row + i] * weight[i];
    s += g;
    q += g * hat;
    atomicAdd(&dweight[i], dy[row + i] * hat);
    atomicAdd(&dbias[i], dy[row + i]);
  }
  s = block_all(s, 0.f, Sum()) / width;
  q = block_all(q, 0.f, Sum()) / width;
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    dx[row + i] = r * (dy[row + i] * weight[i] - s - (x[row + i] - mu) * r * q);
}

extern "C" __global__ void group_norm(const float* x, float* y, int channels, int per_group, int pixels) {
  int base = (blockIdx.y * channels + blockIdx.x * per_group) * pixels, count = per_group * pixels;
  float s = 0, q = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) s += x[base + i], q = fmaf(x[base + i], x[base + i], q);
  s = block_all(s, 0.f, Sum()) / count;
  q = block_all(q, 0.f, Sum()) / count - s * s;
  for (int i = threadIdx.x; i < count; i += blockDim.x) y[base + i] = (x[base + i] - s) * rsqrtf(q + 1e-5f);
}

__constant__ float channel_scale[8] = {1, 0.5f, -2, 3, 0.25f, -1, 4, 7};

extern "C" __global__ void batch_norm_inference(const float* x, float* y, int pixels) {
  int c = blockIdx.y, n = blockIdx.z, i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= pixels) return;
  int at = (n * gridDim.y + c) * pixels + i;
  y[at] = x[at] * channel_scale[c] + (c & 1 ? 1.f : -1.f);
}

extern "C" __global__ void unit_rows(const double* x, double* y, int width) {
  __shared__ double total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  double v = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) v += x[blockIdx.x * width + i] * x[blockIdx.x * width + i];
  atomicAdd(&total, v);
  __syncthreads();
  for (int i = threadIdx.x; i < width; i += blockDim.x) y[blockIdx.x * width + i] = x[blockIdx.x * width + i] / sqrt(total);
}

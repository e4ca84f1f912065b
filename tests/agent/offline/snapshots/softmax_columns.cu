// kernelwright-schedule: {"stages": [{"kind": "serial", "block": 256, "unroll": 4}]}
//
// Row max, sum: one thread per row, 256 threads per block, steps of 4.
#include <torch/extension.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime.h>
#include <cmath>
#include <cstdint>

namespace {

// Elements that travel in one load or store.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};

template <int N, typename T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* source) {
  return *reinterpret_cast<const Pack<T, N>*>(source);
}

template <int N, typename T>
__device__ __forceinline__ void store_pack(T* target, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(target) = pack;
}

template <typename T>
bool is_aligned(const T* pointer, int elements) {
  return reinterpret_cast<std::uintptr_t>(pointer) % (sizeof(T) * elements) == 0;
}

// Values are computed in float (double, int64_t, bool for such tensors), whatever the tensors store.
__device__ __forceinline__ float to_compute(float value) { return value; }

template <typename T, typename C>
__device__ __forceinline__ T from_compute(C value) {
  return static_cast<T>(value);
}

// Unlike fmaxf, hands on NaN as PyTorch does.
template <typename T>
__device__ __forceinline__ T maximum(T a, T b) {
  return a != a || a > b ? a : b;
}

struct Sum {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return maximum(a, b);
  }
};

constexpr int WARP = 32;

// Combines `value` over the GROUP neighbouring threads of a row; every one of them gets the result.
template <int GROUP, typename T, typename Combine>
__device__ __forceinline__ T reduce_group(T value, Combine combine) {
#pragma unroll
  for (int offset = (GROUP < WARP ? GROUP : WARP) / 2; offset > 0; offset /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  if constexpr (GROUP > WARP) {
    constexpr int WARPS = GROUP / WARP;
    __shared__ T partial[WARPS];
    __syncthreads();  // an earlier reduction may still be reading
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = value;
    __syncthreads();
    value = partial[threadIdx.x % WARPS];
#pragma unroll
    for (int offset = WARPS / 2; offset > 0; offset /= 2) {
      value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
    }
  }
  return value;
}

// One step of a running maximum and of the sum of exponentials relative to it (Milakov and Gimelshein, 2018).
template <typename T>
__device__ __forceinline__ void online_add(T& most, T& total, T value) {
  const T factor = value == most ? T(1) : exp(-fabs(value - most));
  const bool grows = value > most;
  total = grows ? total * factor + T(1) : total + factor;
  most = grows ? value : most;
}

// With an infinite maximum, x - max is not a number for some x, and so is the sum.
template <typename T>
__device__ __forceinline__ void online_finish(T& most, T& total) {
  if (isinf(most)) total = NAN;
  if (total != total) most = total;
}

template <int GROUP, typename T>
__device__ __forceinline__ void online_reduce(T& most, T& total) {
  const T own = most;
  most = reduce_group<GROUP>(own, Max{});
  total = reduce_group<GROUP>(own == most ? total : total * exp(own - most), Sum{});
  online_finish(most, total);
}

// Row max, sum: one thread per row, 256 threads per block, steps of 4.
constexpr int K0_BLOCK = 256;

__global__ void __launch_bounds__(K0_BLOCK)
serial_0(const float* __restrict__ x, float* __restrict__ out, int64_t rows, int64_t columns, int64_t extent_2, int64_t extent_3) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * K0_BLOCK + threadIdx.x;
  if (row >= rows) return;
  const int64_t row_1 = row % extent_2;
  const int64_t row_0 = row / extent_2;

  float max_0 = -INFINITY;
  float sum_1 = 0.0f;
#pragma unroll 4
  for (int64_t column = 0; column < columns; ++column) {
    const float t0 = to_compute(x[row_0 * extent_3 + column * extent_2 + row_1]);
    online_add(max_0, sum_1, t0);
  }
  online_finish(max_0, sum_1);

#pragma unroll 4
  for (int64_t column = 0; column < columns; ++column) {
    const float t0 = to_compute(x[row_0 * extent_3 + column * extent_2 + row_1]);
    const float t2 = (t0 - max_0);
    const float t3 = expf(t2);
    const float t5 = (t3 / sum_1);
    out[row_0 * extent_3 + column * extent_2 + row_1] = from_compute<float>(t5);
  }
}

void launch_serial_0(const float* x, float* out, int64_t rows, int64_t columns, int64_t extent_2, int64_t extent_3, cudaStream_t stream) {
  if (rows == 0) return;
  const auto grid = static_cast<unsigned>((rows + K0_BLOCK - 1) / K0_BLOCK);
  serial_0<<<grid, K0_BLOCK, 0, stream>>>(x, out, rows, columns, extent_2, extent_3);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

torch::Tensor forward(torch::Tensor x) {
  TORCH_CHECK(x.is_cuda() && x.scalar_type() == torch::kFloat32 && x.dim() == 3, "x must be on the GPU, of type float32, with 3 dimension(s)");
  x = x.contiguous();
  const c10::cuda::CUDAGuard guard(x.device());
  const cudaStream_t stream = at::cuda::getCurrentCUDAStream();
  torch::Tensor out = torch::empty({x.size(0), x.size(1), x.size(2)}, x.options().dtype(torch::kFloat32));
  launch_serial_0(static_cast<const float*>(x.data_ptr()), static_cast<float*>(out.data_ptr()), x.size(0) * x.size(2), x.size(1), x.size(2), x.size(1) * x.size(2), stream);
  return out;
}

// kernelwright-schedule: {"stages": [{"kind": "row", "group": 32, "rows": 4, "vector": 4, "items": 8, "stream": 512, "shared": 0}, {"kind": "whole", "block": 256, "vector": 4, "blocks": 128}]}
//
// Row max, sum: 32 threads per row, 4 row(s) per block, rows of up to 1024 elements stay in registers, vectors of 4; longer rows are read again for each pass (512 threads).
// Row sum, sum over everything: at most 128 blocks of 256 threads reduce parts, one block reduces their results in a fixed order.
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
__device__ __forceinline__ int64_t to_compute(int64_t value) { return value; }

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

// Row max, sum: 32 threads per row, 4 row(s) per block, rows of up to 1024 elements stay in registers, vectors of 4; longer rows are read again for each pass (512 threads).
constexpr int K0_GROUP = 32;
constexpr int K0_ROWS = 4;
constexpr int K0_BLOCK = K0_GROUP * K0_ROWS;
constexpr int K0_VECTOR = 4;
constexpr int K0_ITEMS = 8;
constexpr int K0_CAPACITY = K0_GROUP * K0_VECTOR * K0_ITEMS;
constexpr int K0_STREAM = 512;

// Rows that fit in registers: read once.
template <int VECTOR, int ITEMS>
__global__ void __launch_bounds__(K0_BLOCK)
row_0_cached(const float* __restrict__ x, const int64_t* __restrict__ index, float* __restrict__ between_0_0, int64_t rows, int64_t columns) {
  const int lane = threadIdx.x % K0_GROUP;
  // Threads beyond the last row repeat it, so that whole warps take part in the shuffles, and store nothing.
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * K0_ROWS + threadIdx.x / K0_GROUP;
  const bool live = slot < rows;
  const int64_t row = live ? slot : rows - 1;
  float t0_kept[ITEMS * VECTOR];

  float max_0 = -INFINITY;
#pragma unroll
  for (int item = 0; item < ITEMS; ++item) {
    const int start = (item * K0_GROUP + lane) * VECTOR;
    if (start < columns) {
      const auto t0_pack = load_pack<VECTOR>(x + row * columns + start);
      #pragma unroll
      for (int j = 0; j < VECTOR; ++j) {
        const float t0 = to_compute(t0_pack.value[j]);
        t0_kept[item * VECTOR + j] = t0;
        max_0 = maximum(max_0, t0);
      }
    }
  }
  max_0 = reduce_group<K0_GROUP>(max_0, Max{});

  float sum_1 = 0.0f;
#pragma unroll
  for (int item = 0; item < ITEMS; ++item) {
    const int start = (item * K0_GROUP + lane) * VECTOR;
    if (start < columns) {
      #pragma unroll
      for (int j = 0; j < VECTOR; ++j) {
        const float t0 = t0_kept[item * VECTOR + j];
        const float t2 = (t0 - max_0);
        const float t3 = expf(t2);
        sum_1 += t3;
      }
    }
  }
  sum_1 = reduce_group<K0_GROUP>(sum_1, Sum{});
  const int64_t t4 = to_compute(index[row]);
  const bool t6 = (t4 != -100);
  const int64_t t8 = (t6 ? t4 : 0);
  const float t9 = t8 >= 0 && t8 < columns ? to_compute(x[row * columns + t8]) : static_cast<float>(NAN);
  const float t10 = (t9 - max_0);
  const float t12 = logf(sum_1);
  const float t13 = (t10 - t12);
  const float t14 = (-t13);
  const float t16 = (t6 ? t14 : 0.0f);
  if (lane == 0 && live) {
    between_0_0[row] = from_compute<float>(t16);
  }
}

// Rows of any length: one block walks a row once for each pass.
template <int VECTOR>
__global__ void __launch_bounds__(K0_STREAM)
row_0_streamed(const float* __restrict__ x, const int64_t* __restrict__ index, float* __restrict__ between_0_0, int64_t rows, int64_t columns) {
  const int lane = threadIdx.x % K0_STREAM;
  const int64_t row = blockIdx.x;

  float max_0 = -INFINITY;
  float sum_1 = 0.0f;
  for (int start = lane * VECTOR; start < columns; start += K0_STREAM * VECTOR) {
    const auto t0_pack = load_pack<VECTOR>(x + row * columns + start);
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const float t0 = to_compute(t0_pack.value[j]);
      online_add(max_0, sum_1, t0);
    }
  }
  online_reduce<K0_STREAM>(max_0, sum_1);
  const int64_t t4 = to_compute(index[row]);
  const bool t6 = (t4 != -100);
  const int64_t t8 = (t6 ? t4 : 0);
  const float t9 = t8 >= 0 && t8 < columns ? to_compute(x[row * columns + t8]) : static_cast<float>(NAN);
  const float t10 = (t9 - max_0);
  const float t12 = logf(sum_1);
  const float t13 = (t10 - t12);
  const float t14 = (-t13);
  const float t16 = (t6 ? t14 : 0.0f);
  if (lane == 0) {
    between_0_0[row] = from_compute<float>(t16);
  }
}

void launch_row_0(const float* x, const int64_t* index, float* between_0_0, int64_t rows, int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  TORCH_CHECK(columns <= INT32_MAX - 65536 && rows <= INT32_MAX, "more rows or columns than one launch holds");
  // Vectors need aligned rows; other sizes go one element at a time.
  const bool vectorised = columns % K0_VECTOR == 0 && is_aligned(x, K0_VECTOR);
  if (columns <= K0_CAPACITY) {
    const auto grid = static_cast<unsigned>((rows + K0_ROWS - 1) / K0_ROWS);
    if (vectorised) {
      row_0_cached<K0_VECTOR, K0_ITEMS>
          <<<grid, K0_BLOCK, 0, stream>>>(x, index, between_0_0, rows, columns);
    } else {
      row_0_cached<1, K0_ITEMS * K0_VECTOR>
          <<<grid, K0_BLOCK, 0, stream>>>(x, index, between_0_0, rows, columns);
    }
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    return;
  }
  const auto grid = static_cast<unsigned>(rows);
  if (vectorised) {
    row_0_streamed<K0_VECTOR><<<grid, K0_STREAM, 0, stream>>>(x, index, between_0_0, rows, columns);
  } else {
    row_0_streamed<1><<<grid, K0_STREAM, 0, stream>>>(x, index, between_0_0, rows, columns);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// Row sum, sum over everything: at most 128 blocks of 256 threads reduce parts, one block reduces their results in a fixed order.
constexpr int K1_BLOCK = 256;
constexpr int K1_VECTOR = 4;
constexpr int64_t K1_MOST_BLOCKS = 128;

// First launch: each block reduces its share to one partial result; a single block finishes at once.
template <int VECTOR>
__global__ void __launch_bounds__(K1_BLOCK)
whole_1_part(const int64_t* __restrict__ index, const float* __restrict__ between_0_0, float* __restrict__ out, int64_t columns, int64_t* __restrict__ sum_0_parts, float* __restrict__ sum_1_parts) {
  int64_t sum_0 = 0;
  float sum_1 = 0.0f;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * K1_BLOCK * VECTOR;
  for (int64_t start = (static_cast<int64_t>(blockIdx.x) * K1_BLOCK + threadIdx.x) * VECTOR; start < columns;
       start += stride) {
    const auto t0_pack = load_pack<VECTOR>(index + start);
    const auto t4_pack = load_pack<VECTOR>(between_0_0 + start);
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const int64_t t0 = to_compute(t0_pack.value[j]);
      const bool t2 = (t0 != -100);
      const int64_t t3 = static_cast<int64_t>(t2);
      const float t4 = to_compute(t4_pack.value[j]);
      sum_0 += t3;
      sum_1 += t4;
    }
  }
  sum_0 = reduce_group<K1_BLOCK>(sum_0, Sum{});
  sum_1 = reduce_group<K1_BLOCK>(sum_1, Sum{});
  if (threadIdx.x != 0) return;
  if (gridDim.x > 1) {
    sum_0_parts[blockIdx.x] = sum_0;
    sum_1_parts[blockIdx.x] = sum_1;
    return;
  }
  const float t7 = static_cast<float>(sum_0);
  const float t8 = (sum_1 / t7);
  out[0] = from_compute<float>(t8);
}

// Second launch: one block reduces the partial results, always in the same order.
__global__ void __launch_bounds__(K1_BLOCK)
whole_1_finish(const int64_t* __restrict__ index, const float* __restrict__ between_0_0, float* __restrict__ out, int64_t columns, const int64_t* __restrict__ sum_0_parts, const float* __restrict__ sum_1_parts, int parts) {
  int64_t sum_0 = 0;
  float sum_1 = 0.0f;
  for (int part = threadIdx.x; part < parts; part += K1_BLOCK) {
    sum_0 = Sum{}(sum_0, sum_0_parts[part]);
    sum_1 = Sum{}(sum_1, sum_1_parts[part]);
  }
  sum_0 = reduce_group<K1_BLOCK>(sum_0, Sum{});
  sum_1 = reduce_group<K1_BLOCK>(sum_1, Sum{});
  if (threadIdx.x == 0) {
    const float t7 = static_cast<float>(sum_0);
    const float t8 = (sum_1 / t7);
    out[0] = from_compute<float>(t8);
  }
}

void launch_whole_1(const int64_t* index, const float* between_0_0, float* out, int64_t columns, const torch::TensorOptions& options, cudaStream_t stream) {
  constexpr int64_t PER_BLOCK = static_cast<int64_t>(K1_BLOCK) * K1_VECTOR;
  const int64_t wanted = (columns + PER_BLOCK - 1) / PER_BLOCK;
  const int64_t most = wanted < K1_MOST_BLOCKS ? wanted : K1_MOST_BLOCKS;
  const int parts = static_cast<int>(most > 0 ? most : 1);
  const torch::Tensor sum_0_parts = torch::empty({parts}, options.dtype(torch::kInt64));
  const torch::Tensor sum_1_parts = torch::empty({parts}, options.dtype(torch::kFloat32));
  // Vectors need aligned rows; other sizes go one element at a time.
  const bool vectorised = columns % K1_VECTOR == 0 && is_aligned(index, K1_VECTOR) && is_aligned(between_0_0, K1_VECTOR);
  if (vectorised) {
    whole_1_part<K1_VECTOR><<<parts, K1_BLOCK, 0, stream>>>(index, between_0_0, out, columns, static_cast<int64_t*>(sum_0_parts.data_ptr()), static_cast<float*>(sum_1_parts.data_ptr()));
  } else {
    whole_1_part<1><<<parts, K1_BLOCK, 0, stream>>>(index, between_0_0, out, columns, static_cast<int64_t*>(sum_0_parts.data_ptr()), static_cast<float*>(sum_1_parts.data_ptr()));
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  if (parts == 1) return;
  whole_1_finish<<<1, K1_BLOCK, 0, stream>>>(index, between_0_0, out, columns, static_cast<int64_t*>(sum_0_parts.data_ptr()), static_cast<float*>(sum_1_parts.data_ptr()), parts);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

torch::Tensor forward(torch::Tensor x, torch::Tensor index) {
  TORCH_CHECK(x.is_cuda() && x.scalar_type() == torch::kFloat32 && x.dim() == 2, "x must be on the GPU, of type float32, with 2 dimension(s)");
  x = x.contiguous();
  TORCH_CHECK(index.is_cuda() && index.scalar_type() == torch::kInt64 && index.dim() == 1, "index must be on the GPU, of type int64, with 1 dimension(s)");
  index = index.contiguous();
  const c10::cuda::CUDAGuard guard(x.device());
  const cudaStream_t stream = at::cuda::getCurrentCUDAStream();
  torch::Tensor between_0_0 = torch::empty({x.size(0)}, x.options().dtype(torch::kFloat32));
  launch_row_0(static_cast<const float*>(x.data_ptr()), static_cast<const int64_t*>(index.data_ptr()), static_cast<float*>(between_0_0.data_ptr()), x.size(0), x.size(1), stream);
  torch::Tensor out = torch::empty({}, x.options().dtype(torch::kFloat32));
  launch_whole_1(static_cast<const int64_t*>(index.data_ptr()), static_cast<const float*>(between_0_0.data_ptr()), static_cast<float*>(out.data_ptr()), x.size(0), x.options(), stream);
  return out;
}

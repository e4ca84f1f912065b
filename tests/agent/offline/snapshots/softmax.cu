// kernelwright-schedule: {"stages": [{"kind": "row", "group": 32, "rows": 4, "vector": 4, "items": 8, "stream": 512, "shared": 1}]}
//
// Row max, sum: 32 threads per row, 4 row(s) per block, rows of up to 1024 elements stay in registers, vectors of 4; longer rows stay in shared memory while they fit (512 threads).
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

// The most shared memory that one block may ask for on the current device.
size_t largest_shared_memory() {
  int device = 0;
  int bytes = 0;
  C10_CUDA_CHECK(cudaGetDevice(&device));
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return static_cast<size_t>(bytes);
}

// Row max, sum: 32 threads per row, 4 row(s) per block, rows of up to 1024 elements stay in registers, vectors of 4; longer rows stay in shared memory while they fit (512 threads).
constexpr int K0_GROUP = 32;
constexpr int K0_ROWS = 4;
constexpr int K0_BLOCK = K0_GROUP * K0_ROWS;
constexpr int K0_VECTOR = 4;
constexpr int K0_ITEMS = 8;
constexpr int K0_CAPACITY = K0_GROUP * K0_VECTOR * K0_ITEMS;
constexpr int K0_STREAM = 512;
constexpr size_t K0_RESERVED = 2048;  // for the reductions' own shared memory

// Rows that fit in registers: read once.
template <int VECTOR, int ITEMS>
__global__ void __launch_bounds__(K0_BLOCK)
row_0_cached(const float* __restrict__ x, float* __restrict__ out, int64_t rows, int64_t columns) {
  const int lane = threadIdx.x % K0_GROUP;
  // Threads beyond the last row repeat it, so that whole warps take part in the shuffles, and store nothing.
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * K0_ROWS + threadIdx.x / K0_GROUP;
  const bool live = slot < rows;
  const int64_t row = live ? slot : rows - 1;
  float t0_kept[ITEMS * VECTOR];
  float t3_kept[ITEMS * VECTOR];

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
        t3_kept[item * VECTOR + j] = t3;
        sum_1 += t3;
      }
    }
  }
  sum_1 = reduce_group<K0_GROUP>(sum_1, Sum{});

#pragma unroll
  for (int item = 0; item < ITEMS; ++item) {
    const int start = (item * K0_GROUP + lane) * VECTOR;
    if (start < columns && live) {
      Pack<float, VECTOR> out_pack;
      #pragma unroll
      for (int j = 0; j < VECTOR; ++j) {
        const float t3 = t3_kept[item * VECTOR + j];
        const float t5 = (t3 / sum_1);
        out_pack.value[j] = from_compute<float>(t5);
      }
      store_pack(out + row * columns + start, out_pack);
    }
  }
}

// Longer rows that fit in shared memory: read once. A thread reads back only what it kept itself.
template <int VECTOR>
__global__ void __launch_bounds__(K0_STREAM)
row_0_shared(const float* __restrict__ x, float* __restrict__ out, int64_t rows, int64_t columns) {
  extern __shared__ float row_0_memory[];
  float* const kept_rows = row_0_memory;
  const int lane = threadIdx.x % K0_STREAM;
  const int64_t row = blockIdx.x;
  float* const t0_kept = kept_rows + 0 * columns;
  float* const t3_kept = kept_rows + 0 * columns;

  float max_0 = -INFINITY;
  for (int start = lane * VECTOR; start < columns; start += K0_STREAM * VECTOR) {
    const auto t0_pack = load_pack<VECTOR>(x + row * columns + start);
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const float t0 = to_compute(t0_pack.value[j]);
      t0_kept[j * (columns / VECTOR) + start / VECTOR] = t0;
      max_0 = maximum(max_0, t0);
    }
  }
  max_0 = reduce_group<K0_STREAM>(max_0, Max{});

  float sum_1 = 0.0f;
  for (int start = lane * VECTOR; start < columns; start += K0_STREAM * VECTOR) {
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const float t0 = t0_kept[j * (columns / VECTOR) + start / VECTOR];
      const float t2 = (t0 - max_0);
      const float t3 = expf(t2);
      t3_kept[j * (columns / VECTOR) + start / VECTOR] = t3;
      sum_1 += t3;
    }
  }
  sum_1 = reduce_group<K0_STREAM>(sum_1, Sum{});

  for (int start = lane * VECTOR; start < columns; start += K0_STREAM * VECTOR) {
    Pack<float, VECTOR> out_pack;
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const float t3 = t3_kept[j * (columns / VECTOR) + start / VECTOR];
      const float t5 = (t3 / sum_1);
      out_pack.value[j] = from_compute<float>(t5);
    }
    store_pack(out + row * columns + start, out_pack);
  }
}

// Rows of any length: one block walks a row once for each pass.
template <int VECTOR>
__global__ void __launch_bounds__(K0_STREAM)
row_0_streamed(const float* __restrict__ x, float* __restrict__ out, int64_t rows, int64_t columns) {
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

  for (int start = lane * VECTOR; start < columns; start += K0_STREAM * VECTOR) {
    const auto t0_pack = load_pack<VECTOR>(x + row * columns + start);
    Pack<float, VECTOR> out_pack;
    #pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      const float t0 = to_compute(t0_pack.value[j]);
      const float t2 = (t0 - max_0);
      const float t3 = expf(t2);
      const float t5 = (t3 / sum_1);
      out_pack.value[j] = from_compute<float>(t5);
    }
    store_pack(out + row * columns + start, out_pack);
  }
}

void launch_row_0(const float* x, float* out, int64_t rows, int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  TORCH_CHECK(columns <= INT32_MAX - 65536 && rows <= INT32_MAX, "more rows or columns than one launch holds");
  // Vectors need aligned rows; other sizes go one element at a time.
  const bool vectorised = columns % K0_VECTOR == 0 && is_aligned(x, K0_VECTOR) && is_aligned(out, K0_VECTOR);
  if (columns <= K0_CAPACITY) {
    const auto grid = static_cast<unsigned>((rows + K0_ROWS - 1) / K0_ROWS);
    if (vectorised) {
      row_0_cached<K0_VECTOR, K0_ITEMS>
          <<<grid, K0_BLOCK, 0, stream>>>(x, out, rows, columns);
    } else {
      row_0_cached<1, K0_ITEMS * K0_VECTOR>
          <<<grid, K0_BLOCK, 0, stream>>>(x, out, rows, columns);
    }
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    return;
  }
  const auto grid = static_cast<unsigned>(rows);
  const size_t bytes = static_cast<size_t>(columns) * 1 * sizeof(float);
  if (bytes + K0_RESERVED <= largest_shared_memory()) {
    const auto kernel = vectorised ? row_0_shared<K0_VECTOR> : row_0_shared<1>;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
    kernel<<<grid, K0_STREAM, bytes, stream>>>(x, out, rows, columns);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    return;
  }
  if (vectorised) {
    row_0_streamed<K0_VECTOR><<<grid, K0_STREAM, 0, stream>>>(x, out, rows, columns);
  } else {
    row_0_streamed<1><<<grid, K0_STREAM, 0, stream>>>(x, out, rows, columns);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

torch::Tensor forward(torch::Tensor x) {
  TORCH_CHECK(x.is_cuda() && x.scalar_type() == torch::kFloat32 && x.dim() == 2, "x must be on the GPU, of type float32, with 2 dimension(s)");
  x = x.contiguous();
  const c10::cuda::CUDAGuard guard(x.device());
  const cudaStream_t stream = at::cuda::getCurrentCUDAStream();
  torch::Tensor out = torch::empty({x.size(0), x.size(1)}, x.options().dtype(torch::kFloat32));
  launch_row_0(static_cast<const float*>(x.data_ptr()), static_cast<float*>(out.data_ptr()), x.size(0), x.size(1), stream);
  return out;
}

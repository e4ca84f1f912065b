// kernelwright-schedule: {"stages": [{"kind": "matmul", "tile_m": 128, "tile_n": 128, "tile_k": 8, "thread_m": 8, "thread_n": 8, "vector": 4, "buffers": 2}]}
//
// Matrix product: 128 x 128 tiles, depth 8, 8 x 8 per thread, 2 tile(s) in shared memory.
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

// Matrix product: 128 x 128 tiles, depth 8, 8 x 8 per thread, 2 tile(s) in shared memory.
constexpr int K0_TILE_M = 128;
constexpr int K0_TILE_N = 128;
constexpr int K0_TILE_K = 8;
constexpr int K0_THREAD_M = 8;
constexpr int K0_THREAD_N = 8;
constexpr int K0_VECTOR = 4;
constexpr int K0_BUFFERS = 2;
constexpr int K0_THREADS_N = K0_TILE_N / K0_THREAD_N;
constexpr int K0_BLOCK = K0_THREADS_N * (K0_TILE_M / K0_THREAD_M);
// A micro-tile is made of strips of four, spread over the tile, so that a warp's 16-byte reads of shared memory
// touch every bank once; the padding does the same for the transposing stores.
constexpr int K0_STRIP = 4;
constexpr int K0_PAD = 4;
constexpr int K0_GAP_M = K0_TILE_M / (K0_THREAD_M / K0_STRIP);
constexpr int K0_GAP_N = K0_TILE_N / (K0_THREAD_N / K0_STRIP);

// Fetches a thread's share of a tile of EXTENT (rows or columns of the product) by TILE_K from memory, zeros beyond
// the edges. ALONG_K: consecutive threads follow the summed dimension, because it is the one that lies together.
template <int EXTENT, bool ALONG_K, int VECTOR, typename T, int COUNT>
__device__ __forceinline__ void matmul_0_fetch(const T* source, int64_t first, int64_t limit, int64_t stride,
                                                 int64_t first_k, int64_t limit_k, int64_t stride_k,
                                                 float (&registers)[COUNT]) {
  constexpr int WIDTH = (ALONG_K ? K0_TILE_K : EXTENT) / VECTOR;
#pragma unroll
  for (int i = 0; i < COUNT / VECTOR; ++i) {
    const int slot = i * K0_BLOCK + threadIdx.x;
    const int64_t along = static_cast<int64_t>(slot % WIDTH) * VECTOR;
    const int64_t across = slot / WIDTH;
    const int64_t position = first + (ALONG_K ? across : along);
    const int64_t k = first_k + (ALONG_K ? along : across);
    if (position < limit && k < limit_k) {
      const auto pack = load_pack<VECTOR>(source + position * stride + k * stride_k);
#pragma unroll
      for (int j = 0; j < VECTOR; ++j) registers[i * VECTOR + j] = to_compute(pack.value[j]);
    } else {
#pragma unroll
      for (int j = 0; j < VECTOR; ++j) registers[i * VECTOR + j] = 0;
    }
  }
}

// Puts a fetched share into shared memory, where the summed dimension is outermost.
template <int EXTENT, bool ALONG_K, int VECTOR, int COUNT>
__device__ __forceinline__ void matmul_0_place(float (&tile)[K0_TILE_K][EXTENT + K0_PAD],
                                                 const float (&registers)[COUNT]) {
  constexpr int WIDTH = (ALONG_K ? K0_TILE_K : EXTENT) / VECTOR;
#pragma unroll
  for (int i = 0; i < COUNT / VECTOR; ++i) {
    const int slot = i * K0_BLOCK + threadIdx.x;
    const int along = slot % WIDTH * VECTOR;
    const int across = slot / WIDTH;
#pragma unroll
    for (int j = 0; j < VECTOR; ++j) {
      if constexpr (ALONG_K) {
        tile[along + j][across] = registers[i * VECTOR + j];
      } else {
        tile[across][along + j] = registers[i * VECTOR + j];
      }
    }
  }
}

template <int LEFT_VECTOR, int RIGHT_VECTOR, int STORE_VECTOR>
__global__ void __launch_bounds__(K0_BLOCK)
matmul_0(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ v, float* __restrict__ out, int64_t rows, int64_t columns, int64_t batches, int64_t inner, int64_t extent_3) {
  __shared__ alignas(16) float left_tile[K0_BUFFERS][K0_TILE_K][K0_TILE_M + K0_PAD];
  __shared__ alignas(16) float right_tile[K0_BUFFERS][K0_TILE_K][K0_TILE_N + K0_PAD];
  float left_next[K0_TILE_M * K0_TILE_K / K0_BLOCK];
  float right_next[K0_TILE_N * K0_TILE_K / K0_BLOCK];
  float sums[K0_THREAD_M][K0_THREAD_N] = {};

  const int64_t batch = blockIdx.z;
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * K0_TILE_M;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * K0_TILE_N;
  const int thread_m = threadIdx.x / K0_THREADS_N * K0_STRIP;
  const int thread_n = threadIdx.x % K0_THREADS_N * K0_STRIP;
  const auto* left = x + batch * 0;
  const auto* right = w + batch * 0;

  const auto fetch = [&](int64_t first_k) {
    matmul_0_fetch<K0_TILE_M, true, LEFT_VECTOR>(left, first_row, rows, extent_3, first_k, inner,
                                                       1, left_next);
    matmul_0_fetch<K0_TILE_N, true, RIGHT_VECTOR>(right, first_column, columns, extent_3, first_k, inner,
                                                        1, right_next);
  };
  const auto place = [&](int buffer) {
    matmul_0_place<K0_TILE_M, true, LEFT_VECTOR>(left_tile[buffer], left_next);
    matmul_0_place<K0_TILE_N, true, RIGHT_VECTOR>(right_tile[buffer], right_next);
  };

  fetch(0);
  place(0);
  __syncthreads();
  int buffer = 0;
  for (int64_t first_k = 0; first_k < inner; first_k += K0_TILE_K) {
    const bool more = first_k + K0_TILE_K < inner;
    if (more) fetch(first_k + K0_TILE_K);  // in flight while the current tile is multiplied
#pragma unroll 8
    for (int k = 0; k < K0_TILE_K; ++k) {
      float left_strip[K0_THREAD_M];
      float right_strip[K0_THREAD_N];
#pragma unroll
      for (int i = 0; i < K0_THREAD_M; i += K0_STRIP) {
        const auto pack = load_pack<K0_STRIP>(
            &left_tile[buffer][k][i / K0_STRIP * K0_GAP_M + thread_m]);
#pragma unroll
        for (int j = 0; j < K0_STRIP; ++j) left_strip[i + j] = pack.value[j];
      }
#pragma unroll
      for (int i = 0; i < K0_THREAD_N; i += K0_STRIP) {
        const auto pack = load_pack<K0_STRIP>(
            &right_tile[buffer][k][i / K0_STRIP * K0_GAP_N + thread_n]);
#pragma unroll
        for (int j = 0; j < K0_STRIP; ++j) right_strip[i + j] = pack.value[j];
      }
#pragma unroll
      for (int m = 0; m < K0_THREAD_M; ++m) {
#pragma unroll
        for (int n = 0; n < K0_THREAD_N; ++n) sums[m][n] += left_strip[m] * right_strip[n];
      }
    }
    if (more) {
      buffer ^= 1;
      place(buffer);
      __syncthreads();
    }
  }

#pragma unroll
  for (int m = 0; m < K0_THREAD_M; ++m) {
    const int64_t row = first_row + m / K0_STRIP * K0_GAP_M + thread_m + m % K0_STRIP;
    if (row < rows) {
#pragma unroll
      for (int strip = 0; strip < K0_THREAD_N; strip += STORE_VECTOR) {
        const int64_t start = first_column + strip / K0_STRIP * K0_GAP_N + thread_n + strip % K0_STRIP;
        if (start < columns) {
          const auto t3_pack = load_pack<STORE_VECTOR>(v + start);
          Pack<float, STORE_VECTOR> out_pack;
#pragma unroll
          for (int j = 0; j < STORE_VECTOR; ++j) {
            const float product = sums[m][strip + j];
            const float t3 = to_compute(t3_pack.value[j]);
            const float t4 = (product + t3);
            const float t6 = (t4 * 0.5f);
            const float t8 = (t4 * 0.7071067811865476f);
            const float t9 = erff(t8);
            const float t11 = (t9 + 1.0f);
            const float t12 = (t6 * t11);
            out_pack.value[j] = from_compute<float>(t12);
          }
          store_pack(out + row * columns + start, out_pack);
        }
      }
    }
  }
}

void launch_matmul_0(const float* x, const float* w, const float* v, float* out, int64_t rows, int64_t columns, int64_t batches, int64_t inner, int64_t extent_3, cudaStream_t stream) {
  if (rows == 0 || columns == 0 || batches == 0) return;
  const int64_t grid_m = (rows + K0_TILE_M - 1) / K0_TILE_M;
  const int64_t grid_n = (columns + K0_TILE_N - 1) / K0_TILE_N;
  TORCH_CHECK(grid_m <= 65535 && batches <= 65535, "the product has more tiles or batches than one launch holds");
  const dim3 grid(static_cast<unsigned>(grid_n), static_cast<unsigned>(grid_m), static_cast<unsigned>(batches));
  // Vectors need aligned rows; other sizes go one element at a time.
  const bool vectorised = columns % K0_VECTOR == 0 && is_aligned(v, K0_VECTOR) && is_aligned(out, K0_VECTOR) && inner % K0_VECTOR == 0 && is_aligned(x, K0_VECTOR) && extent_3 % K0_VECTOR == 0 && is_aligned(w, K0_VECTOR);
  if (vectorised) {
    matmul_0<K0_VECTOR, K0_VECTOR, K0_STRIP>
        <<<grid, K0_BLOCK, 0, stream>>>(x, w, v, out, rows, columns, batches, inner, extent_3);
  } else {
    matmul_0<1, 1, 1><<<grid, K0_BLOCK, 0, stream>>>(x, w, v, out, rows, columns, batches, inner, extent_3);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

torch::Tensor forward(torch::Tensor x, torch::Tensor w, torch::Tensor v) {
  TORCH_CHECK(x.is_cuda() && x.scalar_type() == torch::kFloat32 && x.dim() == 2, "x must be on the GPU, of type float32, with 2 dimension(s)");
  x = x.contiguous();
  TORCH_CHECK(w.is_cuda() && w.scalar_type() == torch::kFloat32 && w.dim() == 2, "w must be on the GPU, of type float32, with 2 dimension(s)");
  w = w.contiguous();
  TORCH_CHECK(v.is_cuda() && v.scalar_type() == torch::kFloat32 && v.dim() == 1, "v must be on the GPU, of type float32, with 1 dimension(s)");
  v = v.contiguous();
  const c10::cuda::CUDAGuard guard(x.device());
  const cudaStream_t stream = at::cuda::getCurrentCUDAStream();
  torch::Tensor out = torch::empty({x.size(0), w.size(0)}, x.options().dtype(torch::kFloat32));
  launch_matmul_0(static_cast<const float*>(x.data_ptr()), static_cast<const float*>(w.data_ptr()), static_cast<const float*>(v.data_ptr()), static_cast<float*>(out.data_ptr()), x.size(0), w.size(0), 1, x.size(1), x.size(1), stream);
  return out;
}

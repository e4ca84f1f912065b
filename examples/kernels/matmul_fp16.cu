// Product of two float16 matrices with 16 x 16 tiles; the sum is kept in float32.
#include <torch/extension.h>
#include <cuda_fp16.h>

constexpr int kTile = 16;

__global__ void matmul_kernel(const __half* a, const __half* b, __half* c, int m, int n, int k) {
  __shared__ __half tile_a[kTile][kTile];
  __shared__ __half tile_b[kTile][kTile];
  int row = blockIdx.y * kTile + threadIdx.y;
  int col = blockIdx.x * kTile + threadIdx.x;
  float total = 0.0f;
  for (int start = 0; start < k; start += kTile) {
    int i = start + threadIdx.x, j = start + threadIdx.y;
    tile_a[threadIdx.y][threadIdx.x] = row < m && i < k ? a[static_cast<int64_t>(row) * k + i] : __half(0.0f);
    tile_b[threadIdx.y][threadIdx.x] = j < k && col < n ? b[static_cast<int64_t>(j) * n + col] : __half(0.0f);
    __syncthreads();
    for (int l = 0; l < kTile; ++l)
      total += __half2float(tile_a[threadIdx.y][l]) * __half2float(tile_b[l][threadIdx.x]);
    __syncthreads();
  }
  if (row < m && col < n) c[static_cast<int64_t>(row) * n + col] = __float2half(total);
}

torch::Tensor forward(torch::Tensor a, torch::Tensor b) {
  int m = a.size(0), k = a.size(1), n = b.size(1);
  auto c = torch::empty({m, n}, a.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  matmul_kernel<<<grid, dim3(kTile, kTile)>>>(
      reinterpret_cast<const __half*>(a.data_ptr()), reinterpret_cast<const __half*>(b.data_ptr()),
      reinterpret_cast<__half*>(c.data_ptr()), m, n, k);
  return c;
}

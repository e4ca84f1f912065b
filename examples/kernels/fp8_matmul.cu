// Product of e4m3 bytes: decoded on the way into shared memory, scaled on the way out.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile

// (-1)^s 2^(e-7) (1 + m/8), or (-1)^s 2^-6 m/8 where e = 0: the exponent is rebuilt in the bits of a float.
__device__ float decoded(uint8_t code) {
  int exponent = (code >> 3) & 15, fraction = code & 7;
  float size = exponent == 0 ? fraction * (1.0f / 512.0f) : __int_as_float(((exponent + 120) << 23) | (fraction << 20));
  return code & 128 ? -size : size;
}

__global__ void fp8_matmul_kernel(
    const uint8_t* a, const uint8_t* b, const float* row_scale, const float* col_scale, float* c, int m, int n,
    int k) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] = depth < k && row < m ? decoded(a[static_cast<int64_t>(row) * k + depth]) : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i / kTile, col = first_col + i % kTile;
      tile_b[i / kTile][i % kTile] = depth < k && col < n ? decoded(b[static_cast<int64_t>(depth) * n + col]) : 0.0f;
    }
    __syncthreads();
    for (int depth = 0; depth < kDepth; ++depth) {
      float a[kEach], b[kEach];
      for (int e = 0; e < kEach; ++e) a[e] = tile_a[depth][ty + e * kSide];
      for (int e = 0; e < kEach; ++e) b[e] = tile_b[depth][tx + e * kSide];
      for (int i = 0; i < kEach; ++i) {
        for (int j = 0; j < kEach; ++j) total[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    for (int j = 0; j < kEach; ++j) {
      int row = first_row + ty + i * kSide, col = first_col + tx + j * kSide;
      if (row < m && col < n) {
        c[static_cast<int64_t>(row) * n + col] = total[i][j] * row_scale[row] * col_scale[col];
      }
    }
  }
}

torch::Tensor forward(torch::Tensor a, torch::Tensor b, torch::Tensor row_scale, torch::Tensor col_scale) {
  int m = a.size(0), k = a.size(1), n = b.size(1);
  auto c = torch::empty({m, n}, row_scale.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  fp8_matmul_kernel<<<grid, kThreads>>>(
      a.data_ptr<uint8_t>(), b.data_ptr<uint8_t>(), row_scale.data_ptr<float>(), col_scale.data_ptr<float>(),
      c.data_ptr<float>(), m, n, k);
  return c;
}

// Patches of 16 x 16 x 3 pixels as the rows of a matrix product that is never built: the loader finds each pixel.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile
constexpr int kPatch = 16;
constexpr int kPixels = 3 * kPatch * kPatch;

// Pixel `depth` of the patch of one token; weights have the same order (channel, row, column).
__device__ float pixel(const float* x, int token, int depth, int rows, int cols) {
  int sample = token / (rows * cols), patch = token % (rows * cols);
  int channel = depth / (kPatch * kPatch), inside = depth % (kPatch * kPatch);
  int64_t plane = static_cast<int64_t>(sample) * 3 + channel;
  int64_t y = plane * rows * kPatch + patch / cols * kPatch + inside / kPatch;
  return x[y * cols * kPatch + patch % cols * kPatch + inside % kPatch];
}

__global__ void patch_kernel(
    const float* x, const float* weight, const float* bias, float* y, int m, int n, int rows, int cols) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  constexpr int k = kPixels;
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] = depth < k && row < m ? pixel(x, row, depth, rows, cols) : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, col = first_col + i / kDepth;
      tile_b[i % kDepth][i / kDepth] = depth < k && col < n ? weight[col * kPixels + depth] : 0.0f;
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
      if (row < m && col < n) y[static_cast<int64_t>(row) * n + col] = total[i][j] + bias[col];
    }
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  int samples = x.size(0), rows = x.size(2) / kPatch, cols = x.size(3) / kPatch, width = weight.size(0);
  auto y = torch::empty({samples, rows * cols, width}, x.options());
  int tokens = samples * rows * cols;
  dim3 grid((width + kTile - 1) / kTile, (tokens + kTile - 1) / kTile);
  patch_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), tokens, width, rows,
      cols);
  return y;
}

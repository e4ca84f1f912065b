// Distances between two sets of points: 16 x 16 pairs per block, coordinates in tiles of 16. Differences are squared,
// not products expanded: close points cancel nothing.
#include <torch/extension.h>

constexpr int kTile = 16;

__global__ void distance_kernel(const float* x, const float* y, float* d, int points, int others, int width) {
  __shared__ float tile_x[kTile][kTile], tile_y[kTile][kTile + 1];
  int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
  int other = blockIdx.x * kTile + threadIdx.y;
  float total = 0.0f;
  for (int start = 0; start < width; start += kTile) {
    int at = start + threadIdx.x;
    tile_x[threadIdx.y][threadIdx.x] = row < points && at < width ? x[static_cast<int64_t>(row) * width + at] : 0.0f;
    tile_y[threadIdx.y][threadIdx.x] =
        other < others && at < width ? y[static_cast<int64_t>(other) * width + at] : 0.0f;
    __syncthreads();
    for (int i = 0; i < kTile; ++i) {
      float difference = tile_x[threadIdx.y][i] - tile_y[threadIdx.x][i];
      total += difference * difference;
    }
    __syncthreads();
  }
  if (row < points && col < others) d[static_cast<int64_t>(row) * others + col] = sqrtf(total);
}

torch::Tensor forward(torch::Tensor x, torch::Tensor y) {
  int points = x.size(0), width = x.size(1), others = y.size(0);
  auto d = torch::empty({points, others}, x.options());
  dim3 grid((others + kTile - 1) / kTile, (points + kTile - 1) / kTile);
  distance_kernel<<<grid, dim3(kTile, kTile)>>>(
      x.data_ptr<float>(), y.data_ptr<float>(), d.data_ptr<float>(), points, others, width);
  return d;
}

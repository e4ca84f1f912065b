// Transpose of a matrix whose sides are no multiples of the tile: directly, and through a padded shared tile.
#include "check.h"

constexpr int kTile = 32, kRows = 8;

__global__ void direct(const float* in, float* out, int height, int width) {
  const int x = blockIdx.x * kTile + threadIdx.x;
  for (int y = blockIdx.y * kTile + threadIdx.y; y < min(height, int(blockIdx.y + 1) * kTile); y += kRows)
    if (x < width) out[x * height + y] = in[y * width + x];
}

__global__ void tiled(const float* in, float* out, int height, int width) {
  __shared__ float tile[kTile][kTile + 1];
  int x = blockIdx.x * kTile + threadIdx.x, y = blockIdx.y * kTile + threadIdx.y;
  for (int row = 0; row < kTile; row += kRows)
    if (x < width && y + row < height) tile[threadIdx.y + row][threadIdx.x] = in[(y + row) * width + x];
  __syncthreads();
  x = blockIdx.y * kTile + threadIdx.x, y = blockIdx.x * kTile + threadIdx.y;
  for (int row = 0; row < kTile; row += kRows)
    if (x < height && y + row < width) out[(y + row) * height + x] = tile[threadIdx.x][threadIdx.y + row];
}

int main() {
  constexpr int height = 150, width = 221;
  const std::vector<float> matrix = random_floats(height * width, 7);
  std::vector<float> wanted(matrix.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) wanted[x * height + y] = matrix[y * width + x];
  const OnCard<float> input(matrix);
  const dim3 grid((width + kTile - 1) / kTile, (height + kTile - 1) / kTile), block(kTile, kRows);
  for (auto* kernel : {direct, tiled}) {
    const OnCard<float> output(matrix.size());
    kernel<<<grid, block>>>(input, output, height, width);
    expect(kernel == tiled ? "tiled" : "direct", output.read(), wanted);
  }
}

// A product of matrices through shared tiles, with edges that fill no tile; dynamic shared memory.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <vector>

constexpr int kTile = 16;

__global__ void product(const float* a, const float* b, float* c, int rows, int inner, int columns) {
  extern __shared__ float tiles[];
  float* tile_a = tiles;
  float* tile_b = tiles + kTile * kTile;
  const int row = blockIdx.y * kTile + threadIdx.y, column = blockIdx.x * kTile + threadIdx.x;
  float sum = 0;
  for (int start = 0; start < inner; start += kTile) {
    const int at_a = start + threadIdx.x, at_b = start + threadIdx.y;
    tile_a[threadIdx.y * kTile + threadIdx.x] = row < rows && at_a < inner ? a[row * inner + at_a] : 0.0f;
    tile_b[threadIdx.y * kTile + threadIdx.x] = column < columns && at_b < inner ? b[at_b * columns + column] : 0.0f;
    __syncthreads();
    for (int k = 0; k < kTile; ++k) sum += tile_a[threadIdx.y * kTile + k] * tile_b[k * kTile + threadIdx.x];
    __syncthreads();
  }
  if (row < rows && column < columns) c[row * columns + column] = sum;
}

int main() {
  constexpr int rows = 70, inner = 45, columns = 51;
  std::vector<float> a(rows * inner), b(inner * columns), c(rows * columns);
  for (size_t i = 0; i < a.size(); ++i) a[i] = std::sin(0.1f * i);
  for (size_t i = 0; i < b.size(); ++i) b[i] = std::cos(0.3f * i);
  float *da, *db, *dc;
  cudaMalloc(&da, a.size() * sizeof(float));
  cudaMalloc(&db, b.size() * sizeof(float));
  cudaMalloc(&dc, c.size() * sizeof(float));
  cudaMemcpy(da, a.data(), a.size() * sizeof(float), cudaMemcpyHostToDevice);
  cudaMemcpy(db, b.data(), b.size() * sizeof(float), cudaMemcpyHostToDevice);
  const dim3 block(kTile, kTile), grid((columns + kTile - 1) / kTile, (rows + kTile - 1) / kTile);
  product<<<grid, block, 2 * kTile * kTile * sizeof(float)>>>(da, db, dc, rows, inner, columns);
  if (cudaMemcpy(c.data(), dc, c.size() * sizeof(float), cudaMemcpyDeviceToHost) != cudaSuccess) return 2;
  double worst = 0;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      double expected = 0;
      for (int k = 0; k < inner; ++k) expected += double(a[row * inner + k]) * b[k * columns + column];
      worst = std::fmax(worst, std::fabs(expected - c[row * columns + column]));
    }
  std::printf("worst difference %g\n", worst);
  return worst < 1e-4 ? 0 : 1;
}

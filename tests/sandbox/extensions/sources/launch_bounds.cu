#include <torch/extension.h>

#define TILE 32
#define ROWS 8

__global__ void __launch_bounds__(TILE * ROWS, 4) transpose_tiled(const float* __restrict__ in, float* __restrict__ out, int h, int w) {
  __shared__ float tile[TILE][TILE + 1];
  int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
  for (int j = 0; j < TILE; j += ROWS)
    if (x < w && y + j < h) tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * w + x];
  __syncthreads();
  x = blockIdx.y * TILE + threadIdx.x;
  y = blockIdx.x * TILE + threadIdx.y;
  for (int j = 0; j < TILE; j += ROWS)
    if (x < h && y + j < w) out[(y + j) * h + x] = tile[threadIdx.x][threadIdx.y + j];
}

torch::Tensor forward(torch::Tensor x) {
  const int h = x.size(0), w = x.size(1);
  auto y = torch::empty({w, h}, x.options());
  transpose_tiled<<<dim3((w + TILE - 1) / TILE, (h + TILE - 1) / TILE), dim3(TILE, ROWS)>>>(x.data_ptr<float>(), y.data_ptr<float>(), h, w);
  return y;
}

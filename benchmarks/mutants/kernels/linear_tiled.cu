__device__ float gelu(float v) {
  return 0.5f * v * (1.0f + erff(v * 0.70710678f));
}

extern "C" __global__ void linear_gelu(const float* x, const float* weight, const float* bias, float* y, int m, int n,
                                       int k) {
  __shared__ float tile_x[kTile][kTile];
  __shared__ float tile_w[kTile][kTile + 1];
  int row = blockIdx.y * kTile + threadIdx.y;
  int col = blockIdx.x * kTile + threadIdx.x;
  int weight_row = blockIdx.x * kTile + threadIdx.y;
  float total = 0.0f;
  for (int start = 0; start < k; start += kTile) {
    int i = start + threadIdx.x;
    tile_x[threadIdx.y][threadIdx.x] = row < m && i < k ? x[row * k + i] : 0.0f;
    tile_w[threadIdx.y][threadIdx.x] = weight_row < n && i < k ? weight[weight_row * k + i] : 0.0f;
    __syncthreads();
    for (int j = 0; j < kTile; ++j) total += tile_x[threadIdx.y][j] * tile_w[threadIdx.x][j];
    __syncthreads();
  }
  if (row < m && col < n) y[row * n + col] = gelu(total + bias[col]);
}

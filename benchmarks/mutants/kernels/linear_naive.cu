extern "C" __global__ void linear_gelu(const float* x, const float* weight, const float* bias, float* y, int m, int n,
                                       int k) {
  int row = blockIdx.y * kTile + threadIdx.y;
  int col = blockIdx.x * kTile + threadIdx.x;
  if (row >= m || col >= n) return;
  float total = bias[col];
  for (int i = 0; i < k; ++i) total += x[row * k + i] * weight[col * k + i];
  y[row * n + col] = total * normcdff(total);
}

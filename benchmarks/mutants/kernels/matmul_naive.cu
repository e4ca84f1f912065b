extern "C" __global__ void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  int row = blockIdx.y * kTile + threadIdx.y;
  int col = blockIdx.x * kTile + threadIdx.x;
  if (row >= m || col >= n) return;
  float total = 0.0f;
  for (int i = 0; i < k; ++i) total += a[row * k + i] * b[i * n + col];
  c[row * n + col] = total;
}

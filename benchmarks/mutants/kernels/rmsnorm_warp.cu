extern "C" __global__ void rmsnorm(const float* x, const float* weight, float* y, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) squares += row[i] * row[i];
  float mean = warp_sum(squares) / cols;
  float scale = 1.0f / sqrtf(mean + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += 32) y[number * cols + i] = weight[i] * (row[i] * scale);
}

extern "C" __global__ void layernorm(const float* x, const float* weight, const float* bias, float* y, int rows,
                                     int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += row[i];
  float mean = warp_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) {
    float off = row[i] - mean;
    squares += off * off;
  }
  float scale = 1.0f / sqrtf(warp_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += 32) {
    y[number * cols + i] = (row[i] - mean) * scale * weight[i] + bias[i];
  }
}

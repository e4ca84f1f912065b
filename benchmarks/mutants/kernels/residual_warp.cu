extern "C" __global__ void layernorm(const float* x, const float* residual, const float* weight, const float* bias,
                                     float* y, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  int start = number * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += x[start + i] + residual[start + i];
  float mean = warp_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) {
    float off = x[start + i] + residual[start + i] - mean;
    squares += off * off;
  }
  float scale = rsqrtf(warp_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += 32) {
    float off = x[start + i] + residual[start + i] - mean;
    y[start + i] = off * scale * weight[i] + bias[i];
  }
}

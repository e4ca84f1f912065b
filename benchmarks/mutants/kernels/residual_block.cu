extern "C" __global__ void layernorm(const float* x, const float* residual, const float* weight, const float* bias,
                                     float* y, int cols) {
  extern __shared__ float row[];
  long long start = (long long)blockIdx.x * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    row[i] = x[start + i] + residual[start + i];
    total += row[i];
  }
  float mean = block_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += (row[i] - mean) * (row[i] - mean);
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += kThreads) y[start + i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

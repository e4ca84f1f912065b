extern "C" __global__ void layernorm(const float* x, const float* weight, const float* bias, float* y, int cols) {
  const float* row = x + (long long)blockIdx.x * cols;
  float* out = y + (long long)blockIdx.x * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += row[i];
  float mean = block_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += (row[i] - mean) * (row[i] - mean);
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += kThreads) out[i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

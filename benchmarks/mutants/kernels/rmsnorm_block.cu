extern "C" __global__ void rmsnorm(const float* x, const float* weight, float* y, int cols) {
  const float* row = x + (long long)blockIdx.x * cols;
  float* out = y + (long long)blockIdx.x * cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += row[i] * row[i];
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += kThreads) out[i] = row[i] * scale * weight[i];
}

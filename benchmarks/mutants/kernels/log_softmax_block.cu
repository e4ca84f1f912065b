extern "C" __global__ void log_softmax(const float* x, float* y, int cols) {
  const float* row = x + (long long)blockIdx.x * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, row[i]);
  top = block_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(row[i] - top);
  float logarithm = logf(block_sum(total));
  for (int i = threadIdx.x; i < cols; i += kThreads) y[blockIdx.x * cols + i] = row[i] - top - logarithm;
}

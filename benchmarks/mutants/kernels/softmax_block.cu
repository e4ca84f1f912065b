extern "C" __global__ void softmax(const float* x, float* y, int cols) {
  const float* row = x + (long long)blockIdx.x * cols;
  float* out = y + (long long)blockIdx.x * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, row[i]);
  top = block_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(row[i] - top);
  total = block_sum(total);
  for (int i = threadIdx.x; i < cols; i += kThreads) out[i] = expf(row[i] - top) / total;
}

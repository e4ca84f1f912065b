extern "C" __global__ void log_softmax(const float* x, float* y, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float* out = y + number * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += 32) top = fmaxf(top, row[i]);
  top = warp_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += expf(row[i] - top);
  float logarithm = logf(warp_sum(total));
  for (int i = threadIdx.x; i < cols; i += 32) out[i] = (row[i] - top) - logarithm;
}

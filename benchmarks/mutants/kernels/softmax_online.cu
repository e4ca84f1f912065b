extern "C" __global__ void softmax(const float* x, float* y, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float top = -INFINITY;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) {
    float v = row[i];
    float higher = fmaxf(top, v);
    total = total * expf(top - higher) + expf(v - higher);
    top = higher;
  }
  float highest = warp_max(top);
  total = warp_sum(total == 0.0f ? 0.0f : total * expf(top - highest));
  for (int i = threadIdx.x; i < cols; i += 32) y[number * cols + i] = expf(row[i] - highest) / total;
}

extern "C" __global__ void row_sum(const float* x, float* y, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += row[i];
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_down_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) y[number] = total;
}

extern "C" __global__ void row_loss(const float* logits, const long long* target, float* losses, int rows, int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = logits + number * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += 32) top = fmaxf(top, row[i]);
  top = warp_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += expf(row[i] - top);
  total = warp_sum(total);
  if (threadIdx.x == 0) losses[number] = top - row[target[number]] + logf(total);
}

extern "C" __global__ void mean_loss(const float* losses, float* loss, int rows) {
  float total = 0.0f;
  for (int i = threadIdx.x; i < rows; i += 32) total += losses[i];
  total = warp_sum(total);
  if (threadIdx.x == 0) loss[0] = total / rows;
}

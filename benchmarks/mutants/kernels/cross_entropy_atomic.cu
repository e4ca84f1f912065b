extern "C" __global__ void cross_entropy(const float* logits, const long long* target, float* loss, int rows,
                                         int cols) {
  const float* row = logits + (long long)blockIdx.x * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, row[i]);
  top = block_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(row[i] - top);
  total = block_sum(total);
  if (threadIdx.x == 0) atomicAdd(loss, (logf(total) + top - row[target[blockIdx.x]]) / rows);
}

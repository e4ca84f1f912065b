extern "C" __global__ void row_sum(const float* x, float* y, int cols) {
  int i = blockIdx.x * kThreads + threadIdx.x;
  float v = i < cols ? x[blockIdx.y * cols + i] : 0.0f;
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_down_sync(0xffffffffu, v, offset);
  if (threadIdx.x % 32 == 0) atomicAdd(&y[blockIdx.y], v);
}

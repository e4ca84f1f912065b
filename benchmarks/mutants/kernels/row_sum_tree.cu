extern "C" __global__ void row_sum(const float* x, float* y, int cols) {
  __shared__ float partial[kThreads];
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += x[blockIdx.x * cols + i];
  partial[threadIdx.x] = total;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) y[blockIdx.x] = partial[0];
}

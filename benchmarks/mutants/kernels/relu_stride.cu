extern "C" __global__ void relu(const float* x, float* y, int n) {
  int step = gridDim.x * kThreads;
  for (int i = blockIdx.x * kThreads + threadIdx.x; i < n; i += step) y[i] = fmaxf(x[i], 0.0f);
}

__device__ float gelu_of(float v) {
  float cubed = v * v * v;
  return 0.5f * v * (1.0f + tanhf(0.7978845608f * (v + 0.044715f * cubed)));
}

extern "C" __global__ void gelu(const float* x, float* y, int n) {
  int step = gridDim.x * kThreads;
  for (int i = blockIdx.x * kThreads + threadIdx.x; i < n; i += step) y[i] = gelu_of(x[i]);
}

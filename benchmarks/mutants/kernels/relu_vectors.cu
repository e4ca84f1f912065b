extern "C" __global__ void relu(const float* x, float* y, int n) {
  int i = blockIdx.x * kThreads + threadIdx.x;
  // Four at a time only where x begins at a multiple of 16 bytes; y is new memory, which always does.
  int vectors = reinterpret_cast<size_t>(x) % 16 == 0 ? n / 4 : 0;
  if (i < vectors) {
    float4 v = reinterpret_cast<const float4*>(x)[i];
    v.x = fmaxf(v.x, 0.0f);
    v.y = fmaxf(v.y, 0.0f);
    v.z = fmaxf(v.z, 0.0f);
    v.w = fmaxf(v.w, 0.0f);
    reinterpret_cast<float4*>(y)[i] = v;
  }
  for (int tail = vectors * 4 + i; tail < n; tail += gridDim.x * kThreads) y[tail] = fmaxf(x[tail], 0.0f);
}

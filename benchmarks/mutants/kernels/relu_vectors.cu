extern "C" __global__ void relu(const float* x, float* y, int n) {
  int i = blockIdx.x * kThreads + threadIdx.x;
  int vectors = n / 4;
  if (i < vectors) {
    float4 v = reinterpret_cast<const float4*>(x)[i];
    v.x = fmaxf(v.x, 0.0f);
    v.y = fmaxf(v.y, 0.0f);
    v.z = fmaxf(v.z, 0.0f);
    v.w = fmaxf(v.w, 0.0f);
    reinterpret_cast<float4*>(y)[i] = v;
  }
  int tail = vectors * 4 + i;
  if (i < 4 && tail < n) y[tail] = fmaxf(x[tail], 0.0f);
}

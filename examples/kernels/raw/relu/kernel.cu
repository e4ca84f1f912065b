// ReLU in the raw form: device code alone, launched as launch.toml says.
extern "C" __global__ void relu(const float* x, float* y, long long n) {
  long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = fmaxf(x[i], 0.0f);
}

#include <torch/extension.h>

template <typename scalar_t>
__global__ void rms_norm(const scalar_t* x, const scalar_t* w, scalar_t* y, int cols, float eps) {
  extern __shared__ float s[];
  float sum = 0.f;
  for (int c = threadIdx.x; c < cols; c += blockDim.x) {
    float v = x[blockIdx.x * cols + c];
    sum += v * v;
  }
  s[threadIdx.x] = sum;
  __syncthreads();
  for (int k = blockDim.x / 2; k > 0; k >>= 1) {
    if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
    __syncthreads();
  }
  const float r = rsqrtf(s[0] / cols + eps);
  for (int c = threadIdx.x; c < cols; c += blockDim.x) y[blockIdx.x * cols + c] = static_cast<float>(x[blockIdx.x * cols + c]) * r * static_cast<float>(w[c]);
}

torch::Tensor forward(torch::Tensor x, torch::Tensor w, double eps = 1e-6) {
  auto y = torch::empty_like(x);
  const int threads = 128;
  AT_DISPATCH_SWITCH(x.scalar_type(), "rms_norm",
    AT_DISPATCH_CASE(at::ScalarType::Float, [&] { rms_norm<scalar_t><<<x.size(0), threads, threads * sizeof(float)>>>(x.data_ptr<scalar_t>(), w.data_ptr<scalar_t>(), y.data_ptr<scalar_t>(), x.size(1), (float)eps); })
    AT_DISPATCH_CASE(at::ScalarType::Half, [&] { rms_norm<scalar_t><<<x.size(0), threads, threads * sizeof(float)>>>(x.data_ptr<scalar_t>(), w.data_ptr<scalar_t>(), y.data_ptr<scalar_t>(), x.size(1), (float)eps); }));
  return y;
}

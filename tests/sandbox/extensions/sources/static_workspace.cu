#include <torch/extension.h>

__global__ void partial_sums(const float* x, float* partial, int n) {
  __shared__ float s[256];
  float v = 0.f;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  s[threadIdx.x] = v;
  __syncthreads();
  for (int k = 128; k > 0; k >>= 1) {
    if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
    __syncthreads();
  }
  if (threadIdx.x == 0) partial[blockIdx.x] = s[0];
}

__global__ void finish(const float* partial, float* out, int blocks) {
  float v = 0.f;
  for (int i = 0; i < blocks; ++i) v += partial[i];
  *out = v;
}

torch::Tensor forward(torch::Tensor x) {
  static torch::Tensor workspace;
  const int blocks = 8;
  if (!workspace.defined() || workspace.numel() < blocks || workspace.device() != x.device())
    workspace = torch::empty({blocks}, x.options());
  auto out = torch::empty({}, x.options());
  partial_sums<<<blocks, 256>>>(x.data_ptr<float>(), workspace.data_ptr<float>(), x.numel());
  finish<<<1, 1>>>(workspace.data_ptr<float>(), out.data_ptr<float>(), blocks);
  return out;
}

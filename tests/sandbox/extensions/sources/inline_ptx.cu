#include <torch/extension.h>

__device__ __forceinline__ float fast_tanh(float x) {
  float y;
  asm volatile("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ unsigned lane_id() {
  unsigned lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

__global__ void tanh_kernel(const float* x, float* y, int* lanes, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    y[i] = fast_tanh(x[i]);
    lanes[i] = static_cast<int>(lane_id());
  }
}

std::tuple<torch::Tensor, torch::Tensor> forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  auto lanes = torch::empty(x.sizes(), x.options().dtype(torch::kInt32));
  tanh_kernel<<<(x.numel() + 63) / 64, 64>>>(x.data_ptr<float>(), y.data_ptr<float>(), lanes.data_ptr<int32_t>(), x.numel());
  return std::make_tuple(y, lanes);
}

#include <torch/extension.h>

__global__ void copy_strided(const float* x, float* y, int64_t a, int64_t b, int64_t c, int64_t sa, int64_t sb, int64_t sc) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < a * b * c) y[i] = x[i / (b * c) * sa + i / c % b * sb + i % c * sc];
}

static torch::Tensor dense(const torch::Tensor& v) {
  TORCH_CHECK(v.dim() == 3, "three axes, not ", v.sizes());
  auto out = torch::empty(v.sizes(), v.options());
  copy_strided<<<(out.numel() + 127) / 128, 128>>>(v.data_ptr<float>(), out.data_ptr<float>(), v.size(0), v.size(1), v.size(2), v.stride(0), v.stride(1), v.stride(2));
  return out;
}

std::vector<torch::Tensor> forward(torch::Tensor x) {
  TORCH_CHECK(x.dim() == 3);
  auto permuted = dense(x.permute({2, 0, 1}));
  auto swapped = dense(x.transpose(1, 2));
  auto part = dense(x.narrow(2, 1, x.size(2) - 2));
  auto stepped = dense(x.slice(/*dim=*/1, /*start=*/0, /*end=*/x.size(1), /*step=*/2));
  auto first = dense(x.select(0, 1).unsqueeze(0));
  auto wide = dense(x[0].unsqueeze(0).expand({3, x.size(1), x.size(2)}));
  TORCH_CHECK(x.squeeze().dim() == 3 && x.flatten(0, 1).size(0) == x.size(0) * x.size(1));
  TORCH_CHECK(!x.transpose(0, 1).is_contiguous() && x.reshape({-1}).is_contiguous());
  return {permuted, swapped, part, stepped, first, wide};
}

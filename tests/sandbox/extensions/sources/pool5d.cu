#include <torch/extension.h>

__global__ void avg_pool3d(const torch::PackedTensorAccessor64<float, 5, torch::RestrictPtrTraits> x,
                           torch::PackedTensorAccessor64<float, 5, torch::RestrictPtrTraits> y, int k) {
  const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  const int64_t D = y.size(2), H = y.size(3), W = y.size(4);
  if (i >= y.size(0) * y.size(1) * D * H * W) return;
  const int64_t w = i % W, h = i / W % H, d = i / (W * H) % D, c = i / (W * H * D) % y.size(1), n = i / (W * H * D * y.size(1));
  float sum = 0.f;
  for (int a = 0; a < k; ++a)
    for (int b = 0; b < k; ++b)
      for (int e = 0; e < k; ++e) sum += x[n][c][d * k + a][h * k + b][w * k + e];
  y[n][c][d][h][w] = sum / (k * k * k);
}

torch::Tensor forward(torch::Tensor input, int64_t kernel_size = 2) {
  TORCH_CHECK(input.dim() == 5, "expected a 5-D tensor but got ", input.dim(), "-D");
  const auto n = input.size(0), c = input.size(1), d = input.size(2), h = input.size(3), w = input.size(4);
  auto output = torch::zeros({n, c, d / kernel_size, h / kernel_size, w / kernel_size}, input.options());
  const int threads = 64;
  avg_pool3d<<<(output.numel() + threads - 1) / threads, threads>>>(
      input.packed_accessor64<float, 5, torch::RestrictPtrTraits>(), output.packed_accessor64<float, 5, torch::RestrictPtrTraits>(), kernel_size);
  return output;
}

// 4-bit codes to numbers: one thread per byte writes two neighbours as one float2, which lies on eight bytes since a
// row is a multiple of 32 long.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kBytes = 16;  // of a group of 32 codes

__global__ void dequantize_kernel(
    const uint8_t* packed, const float* scale, const uint8_t* zero, float2* y, int64_t bytes) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= bytes) return;
  float factor = scale[i / kBytes];
  int low = packed[i] & 15, high = packed[i] >> 4, from = zero[i / kBytes];
  y[i] = make_float2((low - from) * factor, (high - from) * factor);
}

torch::Tensor forward(torch::Tensor packed, torch::Tensor scale, torch::Tensor zero) {
  int rows = packed.size(0), bytes = packed.size(1);
  auto y = torch::empty({rows, 2 * bytes}, scale.options());
  int64_t all = packed.numel();
  dequantize_kernel<<<(all + kThreads - 1) / kThreads, kThreads>>>(
      packed.data_ptr<uint8_t>(), scale.data_ptr<float>(), zero.data_ptr<uint8_t>(),
      reinterpret_cast<float2*>(y.data_ptr<float>()), all);
  return y;
}

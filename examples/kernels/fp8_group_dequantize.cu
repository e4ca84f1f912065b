// e4m3 bytes to numbers, 128 to a scale: a block is a group.
#include <torch/extension.h>

constexpr int kGroup = 128;

// (-1)^s 2^(e-7) (1 + m/8), or (-1)^s 2^-6 m/8 where e = 0: the exponent is rebuilt in the bits of a float.
__device__ float decoded(uint8_t code) {
  int exponent = (code >> 3) & 15, fraction = code & 7;
  float size = exponent == 0 ? fraction * (1.0f / 512.0f) : __int_as_float(((exponent + 120) << 23) | (fraction << 20));
  return code & 128 ? -size : size;
}

__global__ void dequantize_kernel(const uint8_t* code, const float* scale, float* y) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kGroup + threadIdx.x;
  y[i] = decoded(code[i]) * scale[blockIdx.x];
}

torch::Tensor forward(torch::Tensor code, torch::Tensor scale) {
  auto y = torch::empty({code.size(0), code.size(1)}, scale.options());
  dequantize_kernel<<<scale.numel(), kGroup>>>(code.data_ptr<uint8_t>(), scale.data_ptr<float>(), y.data_ptr<float>());
  return y;
}

#include <torch/extension.h>
#include <type_traits>

template <typename In, typename Out, int UNROLL, bool SATURATE>
__global__ __launch_bounds__(128) void convert(const In* __restrict__ in, Out* __restrict__ out, const float scale, const int n) {
  const int base = (blockIdx.x * blockDim.x + threadIdx.x) * UNROLL;
#pragma unroll
  for (int u = 0; u < UNROLL; ++u) {
    if (base + u < n) {
      float v = static_cast<float>(in[base + u]) * scale;
      if constexpr (SATURATE) v = fminf(fmaxf(v, -128.f), 127.f);
      if constexpr (std::is_integral<Out>::value) out[base + u] = static_cast<Out>(__float2int_rn(v));
      else out[base + u] = static_cast<Out>(v);
    }
  }
}

template <typename In>
torch::Tensor quantize(const torch::Tensor& x) {
  auto out = torch::empty(x.sizes(), x.options().dtype(torch::kInt8));
  const int n = static_cast<int>(x.numel());
  convert<In, int8_t, 4, true><<<(n + 511) / 512, 128>>>(x.data_ptr<In>(), out.data_ptr<int8_t>(), 16.f, n);
  return out;
}

torch::Tensor forward(torch::Tensor x) {
  switch (x.scalar_type()) {
    case torch::ScalarType::Float: return quantize<float>(x);
    case torch::ScalarType::Half: return quantize<at::Half>(x);
    case torch::ScalarType::BFloat16: return quantize<at::BFloat16>(x);
    default: TORCH_CHECK(false, "no kernel for ", x.scalar_type());
  }
}

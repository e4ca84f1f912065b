#include <torch/all.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>

// As serving engines wrap the macros.
#define DISPATCH_CASE_FLOATING(...)                      \
  AT_DISPATCH_CASE(at::ScalarType::Float, __VA_ARGS__)   \
  AT_DISPATCH_CASE(at::ScalarType::Half, __VA_ARGS__)    \
  AT_DISPATCH_CASE(at::ScalarType::BFloat16, __VA_ARGS__)
#define DISPATCH_FLOATING(TYPE, NAME, ...) AT_DISPATCH_SWITCH(TYPE, NAME, DISPATCH_CASE_FLOATING(__VA_ARGS__))
#define LAUNCH_ACTIVATION(KERNEL)                                                        \
  int d = input.size(-1) / 2;                                                            \
  int64_t num_tokens = input.numel() / input.size(-1);                                   \
  dim3 grid(num_tokens);                                                                 \
  dim3 block(std::min(d, 1024));                                                         \
  const at::cuda::OptionalCUDAGuard device_guard(device_of(input));                      \
  const cudaStream_t stream = at::cuda::getCurrentCUDAStream();                          \
  DISPATCH_FLOATING(input.scalar_type(), "act_and_mul_kernel", [&] {                     \
    act_and_mul_kernel<scalar_t, KERNEL<scalar_t>>                                       \
        <<<grid, block, 0, stream>>>(out.data_ptr<scalar_t>(), input.data_ptr<scalar_t>(), d); \
  });

namespace engine {

template <typename T>
__device__ __forceinline__ T silu_kernel(const T& x) {
  return (T)(((float)x) / (1.0f + expf((float)-x)));
}

template <typename scalar_t, scalar_t (*ACT_FN)(const scalar_t&)>
__global__ void act_and_mul_kernel(scalar_t* __restrict__ out, const scalar_t* __restrict__ input, const int d) {
  const int64_t token_idx = blockIdx.x;
  for (int64_t idx = threadIdx.x; idx < d; idx += blockDim.x) {
    const scalar_t x = __ldg(&input[token_idx * 2 * d + idx]);
    const scalar_t y = __ldg(&input[token_idx * 2 * d + d + idx]);
    out[token_idx * d + idx] = ACT_FN(x) * y;
  }
}

}  // namespace engine

void silu_and_mul(torch::Tensor& out, torch::Tensor& input) {
  using namespace engine;
  LAUNCH_ACTIVATION(silu_kernel);
}

torch::Tensor forward(torch::Tensor input) {
  auto shape = input.sizes().vec();
  shape.back() /= 2;
  torch::Tensor out = torch::empty(shape, input.options());
  silu_and_mul(out, input);
  return out;
}

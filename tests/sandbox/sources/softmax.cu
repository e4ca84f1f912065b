#include <torch/extension.h>
#include <cuda_runtime.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>

template <typename scalar_t>
__global__ void softmax_kernel(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, int cols) {
  __shared__ float partial[32];
  const scalar_t* row = x + (size_t)blockIdx.x * cols;
  float best = -INFINITY;
  for (int c = threadIdx.x; c < cols; c += blockDim.x) best = fmaxf(best, (float)row[c]);
  for (int o = 16; o > 0; o >>= 1) best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, o));
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = best;
  __syncthreads();
  best = partial[0];
  for (int w = 1; w < blockDim.x / 32; ++w) best = fmaxf(best, partial[w]);
  __syncthreads();
  float sum = 0.f;
  for (int c = threadIdx.x; c < cols; c += blockDim.x) sum += expf((float)row[c] - best);
  for (int o = 16; o > 0; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0.f;
  for (int w = 0; w < blockDim.x / 32; ++w) sum += partial[w];
  for (int c = threadIdx.x; c < cols; c += blockDim.x)
    y[(size_t)blockIdx.x * cols + c] = scalar_t(expf((float)row[c] - best) / sum);
}

torch::Tensor forward(torch::Tensor x) {
  TORCH_CHECK(x.is_cuda(), "x must be on the GPU, not on ", x.device());
  TORCH_CHECK(x.dim() == 2, "x must be a matrix, not ", x.sizes());
  const at::cuda::CUDAGuard guard(x.device());
  auto input = x.contiguous();
  auto y = torch::empty_like(input);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::ScalarType::Half, at::ScalarType::BFloat16, input.scalar_type(), "softmax", ([&] {
    softmax_kernel<scalar_t><<<x.size(0), 256, 0, at::cuda::getCurrentCUDAStream()>>>(input.data_ptr<scalar_t>(), y.data_ptr<scalar_t>(), (int)x.size(1));
  }));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return y;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("forward", &forward, "Softmax", py::arg("x")); }

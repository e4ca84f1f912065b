#include <ATen/ATen.h>
#include <ATen/AccumulateType.h>
#include <ATen/Dispatch.h>
#include <ATen/cuda/CUDAContext.h>
#include <torch/extension.h>

template <typename scalar_t, typename accscalar_t>
__global__ void row_mean(const scalar_t* __restrict__ in, scalar_t* __restrict__ out, int64_t cols) {
  __shared__ accscalar_t partial[256];
  accscalar_t sum = 0;
  for (int64_t c = threadIdx.x; c < cols; c += blockDim.x) sum += static_cast<accscalar_t>(in[blockIdx.x * cols + c]);
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (int s = blockDim.x / 2; s > 0; s >>= 1) {
    if (threadIdx.x < s) partial[threadIdx.x] += partial[threadIdx.x + s];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = static_cast<scalar_t>(partial[0] / static_cast<accscalar_t>(cols));
}

at::Tensor forward(const at::Tensor& input) {
  TORCH_CHECK(input.is_cuda() && input.dim() == 2, "expected a CUDA matrix");
  auto x = input.contiguous();
  auto out = at::empty({x.size(0)}, x.options());
  auto stream = at::cuda::getCurrentCUDAStream();
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::ScalarType::Half, at::ScalarType::BFloat16, x.scalar_type(), "row_mean", [&] {
        using accscalar_t = at::acc_type<scalar_t, /*is_cuda=*/true>;
        row_mean<scalar_t, accscalar_t><<<x.size(0), 256, 0, stream>>>(
            x.const_data_ptr<scalar_t>(), out.mutable_data_ptr<scalar_t>(), x.size(1));
      });
  AT_CUDA_CHECK(cudaGetLastError());
  return out;
}

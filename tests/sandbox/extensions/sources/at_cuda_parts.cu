#include <ATen/ATen.h>
#include <ATen/ceil_div.h>
#include <ATen/cuda/Atomic.cuh>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/DeviceUtils.cuh>
#include <ATen/cuda/Exceptions.h>
#include <ATen/cuda/detail/KernelUtils.h>
#include <c10/macros/Macros.h>
#include <c10/util/Exception.h>
#include <c10/util/irange.h>
#include <torch/extension.h>

template <typename scalar_t>
C10_LAUNCH_BOUNDS_1(256)
__global__ void column_sums(const scalar_t* in, float* out, int rows, int cols) {
  CUDA_KERNEL_LOOP(i, rows * cols) {
    gpuAtomicAdd(&out[i % cols], static_cast<float>(in[i]));
  }
}

template <typename T>
C10_HOST_DEVICE C10_ALWAYS_INLINE T twice(T value) { return value + value; }

__global__ void double_them(float* values, int n) {
  const int lane = threadIdx.x % C10_WARP_SIZE;
  float v = threadIdx.x < n ? values[threadIdx.x] : 0.f;
  v = WARP_SHFL(v, lane);
  if (threadIdx.x < n) values[threadIdx.x] = twice(v);
}

at::Tensor forward(const at::Tensor& x) {
  auto out = at::zeros({x.size(1)}, x.options().dtype(at::kFloat));
  const int64_t blocks = at::ceil_div(x.numel(), static_cast<int64_t>(256));
  TORCH_CHECK(C10_LIKELY(at::cuda::warp_size() == 32));
  int64_t total = 1;
  for (const auto axis : c10::irange(x.dim())) total *= x.size(axis);
  TORCH_CHECK(total == x.numel());
  AT_DISPATCH_FLOATING_TYPES_AND(at::ScalarType::BFloat16, x.scalar_type(), "column_sums", [&] {
    column_sums<scalar_t><<<blocks, 256, 0, at::cuda::getCurrentCUDAStream()>>>(x.const_data_ptr<scalar_t>(), out.data_ptr<float>(), x.size(0), x.size(1));
  });
  double_them<<<1, 64, 0, at::cuda::getCurrentCUDAStream()>>>(out.data_ptr<float>(), out.size(0));
  AT_CUDA_CHECK(cudaGetLastError());
  return out;
}

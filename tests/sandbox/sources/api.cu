// Uses every part of the light headers that a candidate may use, on the host side only.
#include <torch/extension.h>

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define CHECK_CUDA(x) TORCH_CHECK((x).device().is_cuda(), #x " must be a CUDA tensor")
#define CHECK_CONTIGUOUS(x) TORCH_CHECK((x).is_contiguous(), #x " must be contiguous")
#define CHECK_INPUT(x) \
  CHECK_CUDA(x);       \
  CHECK_CONTIGUOUS(x)

__global__ void accessors(torch::PackedTensorAccessor32<float, 2, torch::RestrictPtrTraits> a,
                          at::PackedTensorAccessor64<float, 2> b) {
  if (threadIdx.x < a.size(0)) b[threadIdx.x][0] = a[threadIdx.x][a.size(1) - 1];
}

template <typename scalar_t>
__global__ void conversions(scalar_t* x, __half* h, __nv_bfloat16* b) {
  using accscalar_t = at::acc_type<scalar_t, true>;
  accscalar_t sum = 0;
  sum += static_cast<at::opmath_type<scalar_t>>(x[0]);
  x[1] = static_cast<scalar_t>(sum) * x[0] + x[0] / 2 - 1.0f * x[0];
  x[2] *= x[1];
  x[3] = x[2] > scalar_t(0) ? -x[2] : scalar_t(x[2] * 0.5);
  if (x[0] < x[1] && x[0] > 0) x[4] = fmaxf(x[0], 3);
  h[0] = static_cast<__half>(at::Half(1.0f));
  at::BFloat16 rounded = b[0];
  b[1] = rounded;
}

std::vector<torch::Tensor> forward(const torch::Tensor& x, c10::optional<torch::Tensor> bias, double scale = 2.0,
                                   int64_t axis = -1, bool flag = true) {
  CHECK_INPUT(x);
  TORCH_CHECK(x.dim() == 2 && x.dtype() == torch::kFloat32 && x.scalar_type() == at::ScalarType::Float, "got ",
              x.sizes(), " of ", x.dtype(), " on ", x.device());
  TORCH_CHECK(flag);
  TORCH_CHECK_EQ(x.size(axis), x.size(1));
  const at::cuda::OptionalCUDAGuard guard(device_of(x));
  c10::cuda::CUDAGuard other(x.get_device());
  cudaStream_t stream = at::cuda::getCurrentCUDAStream().stream();
  TORCH_CHECK(stream == c10::cuda::getCurrentCUDAStream());
  C10_CUDA_CHECK(cudaStreamSynchronize(stream));
  AT_CUDA_CHECK(cudaGetLastError());
  TORCH_CHECK(at::cuda::getCurrentDeviceProperties()->multiProcessorCount > 0);

  const int64_t rows = x.size(0), cols = x.size(1);
  auto options = torch::TensorOptions().dtype(torch::kFloat32).device(x.device()).requires_grad(false);
  auto zeros = torch::zeros({rows, cols}, x.options());
  auto ones = torch::ones({rows}, options);
  auto full = torch::full({rows, 3}, scale, x.options().dtype(torch::kBFloat16));
  auto counts = torch::full({5}, 7, torch::dtype(torch::kInt64).device(torch::kCUDA, 0));
  auto like = torch::zeros_like(full);
  auto strided = torch::empty_strided({rows, cols}, {1, rows}, options);
  TORCH_CHECK(!strided.is_contiguous() && strided.t().is_contiguous());
  TORCH_CHECK(strided.transpose(0, 1).sizes() == torch::empty({cols, rows}, options).sizes());
  auto flat = x.view({-1});
  TORCH_CHECK(flat.numel() == x.numel() && flat.data_ptr<float>() == x.data_ptr<float>());
  TORCH_CHECK(x.reshape({cols, rows}).flatten().size(0) == x.numel());
  TORCH_CHECK(x.unsqueeze(0).squeeze(0).sizes().vec() == x.sizes().vec());
  TORCH_CHECK(x.permute({1, 0}).stride(0) == 1);
  TORCH_CHECK(x.contiguous().is_same(x) && x.to(torch::kFloat).is_same(x) && x.nbytes() == x.numel() * x.element_size());
  at::IntArrayRef sizes = x.sizes();
  std::vector<int64_t> shape(sizes.begin(), sizes.end());
  shape.push_back(1);
  auto sum = at::empty(shape, x.options());
  sum.zero_();
  auto copy = x.clone();
  TORCH_CHECK(ones.view({-1}).defined() && !torch::Tensor().defined());
  TORCH_CHECK(torch::ones({1}, options).item<float>() == 1.0f);
  const float* data = x.const_data_ptr<float>();
  TORCH_CHECK(data == static_cast<const float*>(x.data_ptr()));
  TORCH_CHECK(reinterpret_cast<__nv_bfloat16*>(full.data_ptr<at::BFloat16>()) == full.data_ptr<__nv_bfloat16>());
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, full.scalar_type(), "width",
                                  [&] { TORCH_CHECK(sizeof(scalar_t) == 2); });
  if (rows < 0) {
    accessors<<<1, 32, 0, stream>>>(x.packed_accessor32<float, 2, torch::RestrictPtrTraits>(),
                                    zeros.packed_accessor64<float, 2>());
    conversions<float><<<1, 1>>>(nullptr, nullptr, nullptr);
    conversions<at::Half><<<1, 1>>>(nullptr, nullptr, nullptr);
    conversions<at::BFloat16><<<1, 1>>>(nullptr, nullptr, nullptr);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }
  return {zeros, ones, full, counts, like, copy, bias.has_value() ? *bias : strided.t()};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.doc() = "every part of the light headers";
  m.def("other", [](torch::Tensor x) { return x; }, py::arg("x"));
}

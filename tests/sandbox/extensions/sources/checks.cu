#include <torch/extension.h>

#define CHECK_CUDA(x) TORCH_CHECK(x.device().is_cuda(), #x " must be a CUDA tensor")
#define CHECK_CONTIGUOUS(x) TORCH_CHECK(x.is_contiguous(), #x " must be contiguous")
#define CHECK_INPUT(x) CHECK_CUDA(x); CHECK_CONTIGUOUS(x)
#define CUDA_CHECK(call)                                                                        \
  do {                                                                                          \
    cudaError_t status_ = (call);                                                               \
    if (status_ != cudaSuccess) {                                                               \
      fprintf(stderr, "CUDA error %s at %s:%d\n", cudaGetErrorString(status_), __FILE__, __LINE__); \
      throw std::runtime_error(cudaGetErrorString(status_));                                    \
    }                                                                                           \
  } while (0)

__global__ void outer(const float* a, const float* b, float* c, int n, int m) {
  int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y;
  if (j < m) c[i * m + j] = a[i] * b[j];
}

torch::Tensor forward(torch::Tensor a, torch::Tensor b) {
  CHECK_INPUT(a);
  CHECK_INPUT(b);
  TORCH_CHECK_EQ(a.dim(), 1);
  TORCH_CHECK_GT(b.numel(), 0) << "never shown";
  TORCH_CHECK(a.dtype() == torch::kFloat32, "got ", a.dtype());
  TORCH_CHECK_VALUE(a.scalar_type() == b.scalar_type(), "types differ: ", a.scalar_type(), " and ", b.scalar_type());
  TORCH_INTERNAL_ASSERT(a.numel() > 0 && b.numel() > 0);
  AT_ASSERTM(a.device() == b.device(), "on ", a.device(), " and ", b.device());
  auto c = torch::empty({a.size(0), b.size(0)}, a.options());
  dim3 grid((b.size(0) + 63) / 64, a.size(0), 1);
  outer<<<grid, 64>>>(a.data_ptr<float>(), b.data_ptr<float>(), c.data_ptr<float>(), a.size(0), b.size(0));
  CUDA_CHECK(cudaGetLastError());
  CUDA_CHECK(cudaDeviceSynchronize());
  return c;
}

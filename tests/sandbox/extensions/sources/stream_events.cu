#include <torch/extension.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/cuda/CUDAFunctions.h>

__global__ void add_one(float* x, int n) { int i = threadIdx.x + blockIdx.x * blockDim.x; if (i < n) x[i] += 1.0f; }

torch::Tensor forward(torch::Tensor x) {
  c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream(x.device().index());
  TORCH_CHECK(c10::cuda::current_device() == x.get_device());
  auto y = torch::empty(x.sizes(), x.options());
  C10_CUDA_CHECK(cudaMemcpyAsync(y.data_ptr(), x.data_ptr(), x.nbytes(), cudaMemcpyDeviceToDevice, stream));
  cudaEvent_t done;
  C10_CUDA_CHECK(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
  C10_CUDA_CHECK(cudaEventRecord(done, stream.stream()));
  C10_CUDA_CHECK(cudaStreamWaitEvent(stream, done, 0));
  add_one<<<(y.numel() + 31) / 32, 32, 0, stream>>>(y.data_ptr<float>(), static_cast<int>(y.numel()));
  C10_CUDA_CHECK(cudaEventDestroy(done));
  stream.synchronize();
  return y;
}

// The other kinds of memory: registered host memory, a pool, pitched 3D copies, and more shared memory than the default.
#include "check.h"

__global__ void square(float* data, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) data[i] *= data[i];
}

__global__ void reverse(float* data, int n) {
  extern __shared__ float staged[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) staged[i] = data[i];
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) data[i] = staged[n - 1 - i];
}

void registered(const std::vector<float>& values) {
  std::vector<float> host = values, wanted = values;
  for (float& value : wanted) value *= value;
  float* pointer;
  const size_t bytes = host.size() * sizeof(float);
  CUDA_OK(cudaHostRegister(host.data(), bytes, cudaHostRegisterMapped));
  if (cudaHostRegister(host.data(), bytes, 0) != cudaErrorHostMemoryAlreadyRegistered) std::exit(3);
  CUDA_OK(cudaHostGetDevicePointer(reinterpret_cast<void**>(&pointer), host.data(), 0));
  square<<<1, 128>>>(pointer, static_cast<int>(host.size()));
  CUDA_OK(cudaDeviceSynchronize());
  CUDA_OK(cudaHostUnregister(host.data()));
  if (cudaHostUnregister(host.data()) != cudaErrorHostMemoryNotRegistered) std::exit(4);
  expect("registered", host, wanted, 1e-6);
}

void pooled(const std::vector<float>& values) {
  cudaMemPool_t pool;
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  CUDA_OK(cudaMemPoolCreate(&pool, &properties));
  unsigned long long threshold = ~0ull, kept = 0;
  CUDA_OK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  CUDA_OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
  if (kept != threshold) std::exit(5);
  float* data;
  const int n = static_cast<int>(values.size());
  std::vector<float> result(n), wanted(values.rbegin(), values.rend());
  CUDA_OK(cudaMallocFromPoolAsync(reinterpret_cast<void**>(&data), n * sizeof(float), pool, cudaStreamPerThread));
  CUDA_OK(cudaMemcpyAsync(data, values.data(), n * sizeof(float), cudaMemcpyDefault, cudaStreamPerThread));
  reverse<<<1, 128, n * sizeof(float), cudaStreamPerThread>>>(data, n);
  if (cudaGetLastError() != cudaErrorInvalidValue) std::exit(6);
  CUDA_OK(cudaFuncSetAttribute(reverse, cudaFuncAttributeMaxDynamicSharedMemorySize, n * sizeof(float)));
  reverse<<<1, 128, n * sizeof(float), cudaStreamPerThread>>>(data, n);
  CUDA_OK(cudaGetLastError());
  CUDA_OK(cudaMemcpyAsync(result.data(), data, n * sizeof(float), cudaMemcpyDefault, cudaStreamPerThread));
  CUDA_OK(cudaFreeAsync(data, cudaStreamPerThread));
  CUDA_OK(cudaStreamSynchronize(cudaStreamPerThread));
  CUDA_OK(cudaMemPoolDestroy(pool));
  expect("pool and large shared memory", result, wanted);
}

void cube(const std::vector<float>& values) {
  constexpr size_t width = 10, height = 7, depth = 5;
  cudaPitchedPtr room;
  const cudaExtent extent = make_cudaExtent(width * sizeof(float), height, depth);
  CUDA_OK(cudaMalloc3D(&room, extent));
  std::vector<float> source(values.begin(), values.begin() + width * height * depth), result(source.size());
  cudaMemcpy3DParms copy = {};
  copy.srcPtr = make_cudaPitchedPtr(source.data(), width * sizeof(float), width, height);
  copy.dstPtr = room, copy.extent = extent, copy.kind = cudaMemcpyHostToDevice;
  CUDA_OK(cudaMemcpy3D(&copy));
  copy.srcPtr = room, copy.kind = cudaMemcpyDeviceToHost;
  copy.dstPtr = make_cudaPitchedPtr(result.data(), width * sizeof(float), width, height);
  CUDA_OK(cudaMemcpy3D(&copy));
  CUDA_OK(cudaFree(room.ptr));
  expect("cube", result, source);
}

int main() {
  const auto values = random_floats(20000, 77);
  registered(values);
  pooled(values);
  cube(values);
}

// The functions of libc10_cuda and libtorch_cuda that kernels' host code uses, for a build of PyTorch without them.
#pragma once

#include <map>

#include <ATen/cuda/CUDAContextLight.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <kernelwright/card.h>

namespace c10::cuda {

void c10_cuda_check_implementation(const int32_t error, const char* file, const char*, const uint32_t line,
                                   const bool) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  TORCH_CHECK(false, "CUDA error: ", cudaGetErrorString(static_cast<cudaError_t>(error)), " (", file, ":", line, ")");
}
void warn_or_error_on_sync() {}

DeviceIndex device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? static_cast<DeviceIndex>(count) : 0;
}
DeviceIndex device_count_ensure_non_zero() {
  TORCH_CHECK(device_count() > 0, "there is no device");
  return device_count();
}
cudaError_t GetDeviceCount(int* count) { return cudaGetDeviceCount(count); }
cudaError_t GetDevice(DeviceIndex* device) {
  int index = 0;
  const cudaError_t error = cudaGetDevice(&index);
  *device = static_cast<DeviceIndex>(index);
  return error;
}
cudaError_t SetDevice(DeviceIndex device, const bool) { return cudaSetDevice(device); }
cudaError_t MaybeSetDevice(DeviceIndex device) { return cudaSetDevice(device); }
void SetTargetDevice() {}
DeviceIndex current_device() {
  DeviceIndex device = 0;
  C10_CUDA_CHECK(GetDevice(&device));
  return device;
}
void set_device(DeviceIndex device, const bool) { C10_CUDA_CHECK(cudaSetDevice(device)); }
DeviceIndex ExchangeDevice(DeviceIndex device) {
  const DeviceIndex before = current_device();
  if (before != device) set_device(device);
  return before;
}
DeviceIndex MaybeExchangeDevice(DeviceIndex device) { return ExchangeDevice(device); }
void device_synchronize() { C10_CUDA_CHECK(cudaDeviceSynchronize()); }

// A stream's identity is its handle.
static CUDAStream stream_of(cudaStream_t stream, DeviceIndex device) {
  const Device place(DeviceType::CUDA, device < 0 ? current_device() : device);
  return CUDAStream(CUDAStream::UNCHECKED, Stream(Stream::UNSAFE, place, reinterpret_cast<StreamId>(stream)));
}
cudaStream_t CUDAStream::stream() const { return reinterpret_cast<cudaStream_t>(stream_.id()); }
bool CUDAStream::query() const { return cudaStreamQuery(stream()) == cudaSuccess; }
void CUDAStream::synchronize() const { C10_CUDA_CHECK(cudaStreamSynchronize(stream())); }
CUDAStream getCurrentCUDAStream(DeviceIndex device) {
  return stream_of(kernelwright::current_stream(std::max<DeviceIndex>(device, 0)), device);
}
CUDAStream getDefaultCUDAStream(DeviceIndex device) { return stream_of(nullptr, device); }
CUDAStream getStreamFromExternal(cudaStream_t stream, DeviceIndex device) { return stream_of(stream, device); }
CUDAStream getStreamFromPool(const int, DeviceIndex device) {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    C10_CUDA_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return stream_of(stream, device);
}
CUDAStream getStreamFromPool(const bool, DeviceIndex device) { return getStreamFromPool(0, device); }
void setCurrentCUDAStream(CUDAStream stream) {
  kernelwright::check_ffi(TVMFFIEnvSetStream(kDLCUDA, stream.device_index(), stream.stream(), nullptr));
}
std::ostream& operator<<(std::ostream& out, const CUDAStream& stream) { return out << stream.unwrap(); }

}  // namespace c10::cuda

namespace c10::cuda::CUDACachingAllocator {

c10::Allocator* get() { return &kernelwright::CardAllocator::instance(); }

// Raw memory has no place for its handle, so the handles stand in a table.
static std::map<void*, c10::DataPtr>& raw_blocks() {
  static std::map<void*, c10::DataPtr> blocks;
  return blocks;
}
void* raw_alloc(size_t bytes) {
  c10::DataPtr block = get()->allocate(bytes);
  void* data = block.get();
  raw_blocks().insert_or_assign(data, std::move(block));
  return data;
}
void raw_delete(void* data) { raw_blocks().erase(data); }

}  // namespace c10::cuda::CUDACachingAllocator

namespace at::cuda {

cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device) {
  static cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return &properties;
}
cudaDeviceProp* getCurrentDeviceProperties() { return getDeviceProperties(c10::cuda::current_device()); }
int warp_size() { return 32; }
c10::Allocator* getCUDADeviceAllocator() { return &kernelwright::CardAllocator::instance(); }

}  // namespace at::cuda

// Streams and device guards.
#pragma once

#include <kernelwright/tensor.h>

namespace c10 {
namespace cuda {

class CUDAStream {
 public:
  CUDAStream(cudaStream_t stream, DeviceIndex device) : stream_(stream), device_(device) {}
  cudaStream_t stream() const { return stream_; }
  operator cudaStream_t() const { return stream_; }
  DeviceIndex device_index() const { return device_; }
  Device device() const { return Device(kCUDA, device_); }
  void synchronize() const { C10_CUDA_CHECK(cudaStreamSynchronize(stream_)); }
  bool operator==(const CUDAStream& other) const { return stream_ == other.stream_; }
  bool operator!=(const CUDAStream& other) const { return stream_ != other.stream_; }

 private:
  cudaStream_t stream_;
  DeviceIndex device_;
};

inline DeviceIndex current_device() {
  int device = 0;
  C10_CUDA_CHECK(cudaGetDevice(&device));
  return static_cast<DeviceIndex>(device);
}

inline CUDAStream getCurrentCUDAStream(DeviceIndex device = -1) {
  const DeviceIndex index = device < 0 ? current_device() : device;
  return CUDAStream(kernelwright::current_stream(index), index);
}
inline CUDAStream getDefaultCUDAStream(DeviceIndex device = -1) {
  return CUDAStream(nullptr, device < 0 ? current_device() : device);
}

inline void device_synchronize() { C10_CUDA_CHECK(cudaDeviceSynchronize()); }

// Makes a device current for a scope.
class CUDAGuard {
 public:
  explicit CUDAGuard(DeviceIndex index) : original_(current_device()) { set_index(index); }
  explicit CUDAGuard(Device device) : CUDAGuard(device.index()) {}
  CUDAGuard(const CUDAGuard&) = delete;
  CUDAGuard& operator=(const CUDAGuard&) = delete;
  ~CUDAGuard() {
    if (current_ != original_) cudaSetDevice(original_);
  }
  void set_index(DeviceIndex index) {
    current_ = index < 0 ? original_ : index;
    if (current_ != original_) C10_CUDA_CHECK(cudaSetDevice(current_));
  }
  void set_device(Device device) { set_index(device.index()); }

 private:
  DeviceIndex original_;
  DeviceIndex current_ = -1;
};

class OptionalCUDAGuard {
 public:
  OptionalCUDAGuard() = default;
  explicit OptionalCUDAGuard(Device device) : guard_(std::in_place, device) {}
  explicit OptionalCUDAGuard(optional<Device> device) {
    if (device.has_value()) guard_.emplace(*device);
  }
  void set_device(Device device) { guard_.emplace(device); }

 private:
  optional<CUDAGuard> guard_;
};

}  // namespace cuda

using DeviceGuard = cuda::CUDAGuard;
using OptionalDeviceGuard = cuda::OptionalCUDAGuard;

}  // namespace c10

namespace at {
namespace cuda {
using namespace c10::cuda;

inline cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device) {
  static cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return &properties;
}
inline cudaDeviceProp* getCurrentDeviceProperties() { return getDeviceProperties(c10::cuda::current_device()); }

}  // namespace cuda

inline Device device_of(const Tensor& tensor) { return tensor.device(); }
}  // namespace at

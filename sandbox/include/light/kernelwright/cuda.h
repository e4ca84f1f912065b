// Streams and device guards.
#pragma once

#include <kernelwright/factories.h>

namespace c10 {
namespace cuda {

class CUDAStream {
 public:
  CUDAStream(cudaStream_t stream, DeviceIndex device) : stream_(stream), device_(device) {}
  cudaStream_t stream() const { return stream_; }
  operator cudaStream_t() const { return stream_; }
  DeviceIndex device_index() const { return device_; }
  Device device() const { return Device(kCUDA, device_); }
  DeviceType device_type() const { return kCUDA; }
  void synchronize() const { C10_CUDA_CHECK(cudaStreamSynchronize(stream_)); }
  bool query() const {
    const cudaError_t error = cudaStreamQuery(stream_);
    if (error == cudaErrorNotReady) return false;
    C10_CUDA_CHECK(error);
    return true;
  }
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

inline CUDAStream getStreamFromExternal(cudaStream_t stream, DeviceIndex device) { return CUDAStream(stream, device); }
// A stream of its own, made at the first call and kept.
inline CUDAStream getStreamFromPool(bool = false, DeviceIndex device = -1) {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    C10_CUDA_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return CUDAStream(stream, device < 0 ? current_device() : device);
}
inline void setCurrentCUDAStream(CUDAStream stream) {
  kernelwright::check_ffi(TVMFFIEnvSetStream(kDLCUDA, stream.device_index(), stream.stream(), nullptr));
}

inline DeviceIndex device_count() {
  int count = 0;
  C10_CUDA_CHECK(cudaGetDeviceCount(&count));
  return static_cast<DeviceIndex>(count);
}
inline void set_device(DeviceIndex device) { C10_CUDA_CHECK(cudaSetDevice(device)); }
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
  explicit OptionalCUDAGuard(DeviceIndex index) : guard_(std::in_place, index) {}
  explicit OptionalCUDAGuard(optional<Device> device) {
    if (device.has_value()) guard_.emplace(*device);
  }
  void set_device(Device device) { guard_.emplace(device); }

 private:
  optional<CUDAGuard> guard_;
};

// Makes a stream current for a scope.
class CUDAStreamGuard {
 public:
  explicit CUDAStreamGuard(CUDAStream stream) : original_(getCurrentCUDAStream(stream.device_index())) {
    setCurrentCUDAStream(stream);
  }
  CUDAStreamGuard(const CUDAStreamGuard&) = delete;
  CUDAStreamGuard& operator=(const CUDAStreamGuard&) = delete;
  ~CUDAStreamGuard() { TVMFFIEnvSetStream(kDLCUDA, original_.device_index(), original_.stream(), nullptr); }
  CUDAStream original_stream() const { return original_; }

 private:
  CUDAStream original_;
};

// Memory for a scope, from whoever allocates the candidate's tensors.
namespace CUDACachingAllocator {
class Block {
 public:
  explicit Block(size_t bytes)
      : tensor_(at::empty({static_cast<int64_t>(bytes)}, at::TensorOptions().dtype(kByte).device(kCUDA))) {}
  void* get() const { return tensor_.data_ptr(); }

 private:
  at::Tensor tensor_;
};
struct Allocator {
  Block allocate(size_t bytes) const { return Block(bytes); }
};
inline const Allocator* get() {
  static const Allocator allocator;
  return &allocator;
}
}  // namespace CUDACachingAllocator

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

inline int warp_size() { return 32; }
inline int64_t getNumGPUs() { return c10::cuda::device_count(); }
inline bool is_available() { return c10::cuda::device_count() > 0; }

}  // namespace cuda

inline optional<Device> device_of(const Tensor& tensor) { return tensor.device(); }
}  // namespace at

namespace torch {
namespace cuda {
inline bool is_available() { return c10::cuda::device_count() > 0; }
inline size_t device_count() { return static_cast<size_t>(c10::cuda::device_count()); }
inline void synchronize(int64_t = -1) { c10::cuda::device_synchronize(); }
}  // namespace cuda
}  // namespace torch

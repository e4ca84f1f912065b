// As PyTorch's header of this name, without the handles of libraries that compute.
#pragma once

#include <cuda_runtime_api.h>

#include <c10/core/Allocator.h>
#include <c10/cuda/CUDAFunctions.h>

namespace at::cuda {

inline int64_t getNumGPUs() { return c10::cuda::device_count(); }
inline bool is_available() { return c10::cuda::device_count() > 0; }
cudaDeviceProp* getCurrentDeviceProperties();
cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device);
int warp_size();
c10::Allocator* getCUDADeviceAllocator();

}  // namespace at::cuda

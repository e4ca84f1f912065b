// The device, its limits, and the attributes and occupancy of kernels. There is one device, number 0.
#include <array>
#include <cstdio>
#include <cstring>

#include "work.h"

using namespace standin;

namespace {

constexpr int kVersion = CUDART_VERSION;

// Limits of the runtime as a program sets them; the simulator's stacks and queues need none of them.
std::array<size_t, 8> limits = {1024, 1 << 20, 8 << 20, 2, 2048, 128, 0, 0};
unsigned device_flags = cudaDeviceScheduleAuto;
cudaFuncCache cache_preference = cudaFuncCachePreferNone;

int attribute(const HostTable& host, cudaDeviceAttr which) {
  int value = 0;
  host.device_attribute(which, &value);
  return value;
}

void fill_limits(const HostTable& host, cudaDeviceProp* properties) {
  properties->totalGlobalMem = host.device_memory;
  properties->sharedMemPerBlock = attribute(host, cudaDevAttrMaxSharedMemoryPerBlock);
  properties->sharedMemPerBlockOptin = attribute(host, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  properties->sharedMemPerMultiprocessor = attribute(host, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  properties->reservedSharedMemPerBlock = attribute(host, cudaDevAttrReservedSharedMemoryPerBlock);
  properties->regsPerBlock = attribute(host, cudaDevAttrMaxRegistersPerBlock);
  properties->regsPerMultiprocessor = attribute(host, cudaDevAttrMaxRegistersPerMultiprocessor);
  properties->warpSize = attribute(host, cudaDevAttrWarpSize);
  properties->maxThreadsPerBlock = attribute(host, cudaDevAttrMaxThreadsPerBlock);
  properties->maxThreadsPerMultiProcessor = attribute(host, cudaDevAttrMaxThreadsPerMultiProcessor);
  properties->maxBlocksPerMultiProcessor = attribute(host, cudaDevAttrMaxBlocksPerMultiprocessor);
  for (int axis = 0; axis < 3; ++axis) {
    properties->maxThreadsDim[axis] = attribute(host, static_cast<cudaDeviceAttr>(cudaDevAttrMaxBlockDimX + axis));
    properties->maxGridSize[axis] = attribute(host, static_cast<cudaDeviceAttr>(cudaDevAttrMaxGridDimX + axis));
  }
}

void fill_features(const HostTable& host, cudaDeviceProp* properties) {
  std::snprintf(properties->name, sizeof properties->name, "%s", host.device_name);
  properties->major = attribute(host, cudaDevAttrComputeCapabilityMajor);
  properties->minor = attribute(host, cudaDevAttrComputeCapabilityMinor);
  properties->multiProcessorCount = attribute(host, cudaDevAttrMultiProcessorCount);
  properties->totalConstMem = attribute(host, cudaDevAttrTotalConstantMemory);
  properties->memPitch = attribute(host, cudaDevAttrMaxPitch);
  properties->memoryBusWidth = attribute(host, cudaDevAttrGlobalMemoryBusWidth);
  properties->l2CacheSize = attribute(host, cudaDevAttrL2CacheSize);
  properties->asyncEngineCount = attribute(host, cudaDevAttrAsyncEngineCount);
  properties->concurrentKernels = attribute(host, cudaDevAttrConcurrentKernels);
  properties->unifiedAddressing = attribute(host, cudaDevAttrUnifiedAddressing);
  properties->canMapHostMemory = attribute(host, cudaDevAttrCanMapHostMemory);
  properties->managedMemory = attribute(host, cudaDevAttrManagedMemory);
  properties->concurrentManagedAccess = attribute(host, cudaDevAttrConcurrentManagedAccess);
  properties->cooperativeLaunch = attribute(host, cudaDevAttrCooperativeLaunch);
  properties->globalL1CacheSupported = attribute(host, cudaDevAttrGlobalL1CacheSupported);
  properties->localL1CacheSupported = attribute(host, cudaDevAttrLocalL1CacheSupported);
}

// Order of the values that the callback `function_attributes` writes.
enum FunctionValue { kShared, kConstant, kLocal, kMaxThreads, kRegisters, kPtxVersion, kBinaryVersion, kMaxDynamic, kValues };

int occupancy(const HostTable& host, const void* function, int threads, size_t dynamic_shared, int* blocks) {
  const Kernel* kernel = find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  if (blocks == nullptr || threads <= 0) return cudaErrorInvalidValue;
  return host.occupancy(kernel->image, kernel->name.c_str(), threads, dynamic_shared, blocks);
}

int set_attribute(const HostTable& host, const void* function, cudaFuncAttribute which, int value) {
  const Kernel* kernel = find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  return host.set_function_attribute(kernel->image, kernel->name.c_str(), which, value);
}

// Largest dynamic shared memory that still lets `blocks` blocks be resident: occupancy falls as the size grows.
int largest_dynamic_shared(const HostTable& host, const void* function, int blocks, int threads, size_t* bytes) {
  size_t fits = 0;
  size_t too_large = static_cast<size_t>(attribute(host, cudaDevAttrMaxSharedMemoryPerBlockOptin)) + 1;
  while (too_large - fits > 1) {
    const size_t middle = fits + (too_large - fits) / 2;
    int resident = 0;
    if (const int code = occupancy(host, function, threads, middle, &resident)) return code;
    (resident >= blocks ? fits : too_large) = middle;
  }
  *bytes = fits;
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return enter([&](const HostTable&) -> int {
    *count = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return enter([&](const HostTable&) -> int {
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return enter([&](const HostTable&) -> int { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) { return cudaSetDevice(device); }

cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp*) { return cudaGetDevice(device); }

cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return enter([&](const HostTable&) -> int {
    device_flags = flags;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return enter([&](const HostTable&) -> int {
    *flags = device_flags;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return enter([&](const HostTable& host) -> int {
    if (device != 0) return cudaErrorInvalidDevice;
    *properties = cudaDeviceProp{};
    fill_limits(host, properties);
    fill_features(host, properties);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  return enter([&](const HostTable& host) -> int {
    if (device != 0) return cudaErrorInvalidDevice;
    return host.device_attribute(which, value);
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can_access, int, int) {
  return enter([&](const HostTable&) -> int {
    *can_access = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* bus_id, int length, int device) {
  return enter([&](const HostTable&) -> int {
    if (device != 0) return cudaErrorInvalidDevice;
    std::snprintf(bus_id, length, "0000:00:00.0");
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return enter([](const HostTable& host) -> int {
    if (const int code = refuse_if_any_capturing()) return code;
    return host.synchronize();
  });
}

// A reset ends a sticky error: the device is as new.
cudaError_t cudaDeviceReset() {
  const HostTable* host = table();
  if (host == nullptr) return record(cudaErrorCudartUnloading);
  if (const int code = host->synchronize()) return record(code);
  make_sticky(cudaSuccess);
  return record(host->device_reset());
}

cudaError_t cudaDeviceSetLimit(cudaLimit limit, size_t value) {
  return enter([&](const HostTable&) -> int {
    if (static_cast<size_t>(limit) >= limits.size()) return cudaErrorUnsupportedLimit;
    limits[limit] = value;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit limit) {
  return enter([&](const HostTable&) -> int {
    if (static_cast<size_t>(limit) >= limits.size()) return cudaErrorUnsupportedLimit;
    *value = limits[limit];
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache preference) {
  return enter([&](const HostTable&) -> int {
    cache_preference = preference;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* preference) {
  return enter([&](const HostTable&) -> int {
    *preference = cache_preference;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return enter([&](const HostTable&) -> int {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = kVersion;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kVersion;
  return cudaSuccess;
}

cudaError_t cudaProfilerStart() {
  return enter([](const HostTable&) -> int { return cudaSuccess; });
}

cudaError_t cudaProfilerStop() { return cudaProfilerStart(); }

cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, cudaChannelFormatKind kind) {
  return {x, y, z, w, kind};
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return enter([&](const HostTable& host) -> int {
    const Kernel* kernel = find_kernel(function);
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    std::int64_t values[kValues] = {};
    if (const int code = host.function_attributes(kernel->image, kernel->name.c_str(), values)) return code;
    *attributes = cudaFuncAttributes{};
    attributes->sharedSizeBytes = values[kShared];
    attributes->constSizeBytes = values[kConstant];
    attributes->localSizeBytes = values[kLocal];
    attributes->maxThreadsPerBlock = static_cast<int>(values[kMaxThreads]);
    attributes->numRegs = static_cast<int>(values[kRegisters]);
    attributes->ptxVersion = static_cast<int>(values[kPtxVersion]);
    attributes->binaryVersion = static_cast<int>(values[kBinaryVersion]);
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(values[kMaxDynamic]);
    attributes->preferredShmemCarveout = -1;
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute which, int value) {
  return enter([&](const HostTable& host) -> int { return set_attribute(host, function, which, value); });
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, cudaFuncAttribute which, int value, int device) {
  return enter([&](const HostTable& host) -> int {
    return device == 0 ? set_attribute(host, kernel, which, value) : cudaErrorInvalidDevice;
  });
}

cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache) {
  return enter([&](const HostTable&) -> int {
    return find_kernel(function) == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
  });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return enter([&](const HostTable&) -> int {
    const Kernel* kernel = find_kernel(function);
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    *name = kernel->name.c_str();
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t dynamic_shared) {
  return enter([&](const HostTable& host) -> int { return occupancy(host, function, threads, dynamic_shared, blocks); });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int threads,
                                                                   size_t dynamic_shared, unsigned) {
  return enter([&](const HostTable& host) -> int { return occupancy(host, function, threads, dynamic_shared, blocks); });
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* function, int blocks, int threads) {
  return enter([&](const HostTable& host) -> int {
    return largest_dynamic_shared(host, function, blocks, threads, bytes);
  });
}

}  // extern "C"

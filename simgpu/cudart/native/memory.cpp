// Allocation: device, managed, pinned and registered memory.
#include "work.h"

using namespace standin;

namespace {

size_t aligned_pitch(size_t width) {
  constexpr size_t kPitchAlignment = 512;
  return (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
}

int allocate(const HostTable& host, void** pointer, size_t bytes, const char* kind) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  std::uint64_t address = 0;
  const int code = host.allocate(bytes, kind, &address);
  *pointer = pointer_to(address);
  return code;
}

int release(const HostTable& host, void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  return host.release(address_of(pointer));
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return enter([&](const HostTable& host) { return allocate(host, pointer, bytes, "cudaMalloc"); });
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int {
    if (is_capturing(stream)) return host.unsupported("memory nodes of graphs: cudaMallocAsync in a captured stream");
    return allocate(host, pointer, bytes, "cudaMallocAsync");
  });
}

cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned) {
  return enter([&](const HostTable& host) -> int {
    if (bytes == 0) return cudaErrorInvalidValue;
    return allocate(host, pointer, bytes, "cudaMallocManaged");
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return enter([&](const HostTable& host) { return allocate(host, pointer, bytes, "cudaMallocHost"); });
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return enter([&](const HostTable& host) { return allocate(host, pointer, bytes, "cudaHostAlloc"); });
}

cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
  return enter([&](const HostTable& host) -> int {
    if (pitch == nullptr) return cudaErrorInvalidValue;
    *pitch = aligned_pitch(width);
    return allocate(host, pointer, *pitch * height, "cudaMallocPitch");
  });
}

cudaError_t cudaFree(void* pointer) {
  return enter([&](const HostTable& host) { return release(host, pointer); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return enter([&](const HostTable& host) { return release(host, pointer); });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int {
    if (is_capturing(stream)) return host.unsupported("memory nodes of graphs: cudaFreeAsync in a captured stream");
    return release(host, pointer);
  });
}

cudaError_t cudaHostGetDevicePointer(void** device_pointer, void* host_pointer, unsigned) {
  return enter([&](const HostTable& host) -> int {
    std::uint64_t address = 0;
    const int code = host.device_pointer(address_of(host_pointer), &address);
    *device_pointer = pointer_to(address);
    return code;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return enter([&](const HostTable& host) -> int {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    std::uint64_t base = 0;
    std::uint64_t bytes = 0;
    int is_host = 0;
    *attributes = cudaPointerAttributes{};
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->hostPointer = const_cast<void*>(pointer);
    if (host.find(address_of(pointer), &base, &bytes, &is_host) != cudaSuccess) return cudaSuccess;
    attributes->type = is_host != 0 ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->devicePointer = const_cast<void*>(pointer);
    if (is_host == 0) attributes->hostPointer = nullptr;
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  return enter([&](const HostTable& host) -> int {
    std::uint64_t available = 0;
    const int code = host.free_memory(&available);
    *free_bytes = available;
    *total_bytes = host.device_memory;
    return code;
  });
}

// Hints about where managed memory should live; there is one memory here.
cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes, cudaMemLocation, unsigned, cudaStream_t) {
  return enter([&](const HostTable& host) -> int {
    return host.check_range(address_of(pointer), bytes, 1, "the range of cudaMemPrefetchAsync");
  });
}

cudaError_t cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise, cudaMemLocation) {
  return enter([&](const HostTable& host) -> int {
    return host.check_range(address_of(pointer), bytes, 1, "the range of cudaMemAdvise");
  });
}

cudaError_t cudaMemPrefetchAsync_ptsz(const void* pointer, size_t bytes, cudaMemLocation location, unsigned flags,
                                      cudaStream_t stream) {
  return cudaMemPrefetchAsync(pointer, bytes, location, flags, own(stream));
}

cudaError_t cudaStreamAttachMemAsync(cudaStream_t, void* pointer, size_t, unsigned) {
  return enter([&](const HostTable& host) -> int {
    return host.check_range(address_of(pointer), 1, 1, "the pointer of cudaStreamAttachMemAsync");
  });
}

cudaError_t cudaStreamAttachMemAsync_ptsz(cudaStream_t stream, void* pointer, size_t bytes, unsigned flags) {
  return cudaStreamAttachMemAsync(own(stream), pointer, bytes, flags);
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* pitched, cudaExtent extent) {
  return enter([&](const HostTable& host) -> int {
    if (pitched == nullptr) return cudaErrorInvalidValue;
    const size_t pitch = aligned_pitch(extent.width);
    void* pointer = nullptr;
    const int code = allocate(host, &pointer, pitch * extent.height * extent.depth, "cudaMalloc3D");
    *pitched = {pointer, pitch, extent.width, extent.height};
    return code;
  });
}

cudaError_t cudaMallocAsync_ptsz(void** pointer, size_t bytes, cudaStream_t stream) {
  return cudaMallocAsync(pointer, bytes, own(stream));
}

cudaError_t cudaFreeAsync_ptsz(void* pointer, cudaStream_t stream) { return cudaFreeAsync(pointer, own(stream)); }

// What registers pageable host memory, which kernels then reach at its own address.
cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return enter([&](const HostTable& host) -> int {
    if (pointer == nullptr || bytes == 0) return cudaErrorInvalidValue;
    return host.register_host(address_of(pointer), bytes);
  });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return enter([&](const HostTable& host) -> int { return host.unregister_host(address_of(pointer)); });
}

}  // extern "C"

// Allocation, copies and symbols. Device addresses are host addresses, so a copy is a memmove once its ranges are checked.
#include <cstring>

#include "standin.h"

using namespace standin;

namespace {

// Which ends of a copy must be device memory.
struct Ends {
  bool destination_device;
  bool source_device;
};

bool valid_kind(cudaMemcpyKind kind) { return kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault; }

Ends ends_of(cudaMemcpyKind kind) {
  const bool device_to_device = kind == cudaMemcpyDeviceToDevice;
  return {kind == cudaMemcpyHostToDevice || device_to_device, kind == cudaMemcpyDeviceToHost || device_to_device};
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

// Bytes from the first byte of the first row to the last byte of the last one.
size_t plane_bytes(size_t pitch, size_t width, size_t height) {
  return width == 0 || height == 0 ? 0 : pitch * (height - 1) + width;
}

int copy_rows(const HostTable& host, void* destination, size_t destination_pitch, const void* source,
              size_t source_pitch, size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (!valid_kind(kind)) return cudaErrorInvalidMemcpyDirection;
  if (width == 0 || height == 0) return cudaSuccess;
  if (destination == nullptr || source == nullptr) return cudaErrorInvalidValue;
  if (height > 1 && (width > destination_pitch || width > source_pitch)) return cudaErrorInvalidPitchValue;
  const Ends ends = ends_of(kind);
  if (const int code = host.check_range(address_of(destination), plane_bytes(destination_pitch, width, height),
                                        ends.destination_device, "the destination of a copy"))
    return code;
  if (const int code = host.check_range(address_of(source), plane_bytes(source_pitch, width, height),
                                        ends.source_device, "the source of a copy"))
    return code;
  for (size_t row = 0; row < height; ++row)
    std::memmove(static_cast<char*>(destination) + row * destination_pitch,
                 static_cast<const char*>(source) + row * source_pitch, width);
  return host.moved(width * height, kind, handle_id(stream));
}

int copy(const HostTable& host, void* destination, const void* source, size_t bytes, cudaMemcpyKind kind,
         cudaStream_t stream) {
  return copy_rows(host, destination, bytes, source, bytes, bytes, 1, kind, stream);
}

int fill_rows(const HostTable& host, void* destination, size_t pitch, int value, size_t width, size_t height,
              cudaStream_t stream) {
  if (width == 0 || height == 0) return cudaSuccess;
  if (height > 1 && width > pitch) return cudaErrorInvalidPitchValue;
  if (const int code = host.check_range(address_of(destination), plane_bytes(pitch, width, height), 1,
                                        "the destination of a memset"))
    return code;
  for (size_t row = 0; row < height; ++row) std::memset(static_cast<char*>(destination) + row * pitch, value, width);
  return host.moved(width * height, -1, handle_id(stream));
}

// Address of `offset` in a device variable, checked for `bytes` more.
int symbol_address(const HostTable& host, const void* symbol, size_t bytes, size_t offset, std::uint64_t* address) {
  const Variable* variable = find_variable(symbol);
  if (variable == nullptr) return cudaErrorInvalidSymbol;
  std::uint64_t size = 0;
  if (const int code = host.symbol(variable->image, variable->name.c_str(), address, &size)) return code;
  if (offset > size || bytes > size - offset) return cudaErrorInvalidValue;
  *address += offset;
  return cudaSuccess;
}

int copy_to_symbol(const HostTable& host, const void* symbol, const void* source, size_t bytes, size_t offset,
                   cudaMemcpyKind kind, cudaStream_t stream) {
  std::uint64_t address = 0;
  if (const int code = symbol_address(host, symbol, bytes, offset, &address)) return code;
  return copy(host, pointer_to(address), source, bytes, kind, stream);
}

int copy_from_symbol(const HostTable& host, void* destination, const void* symbol, size_t bytes, size_t offset,
                     cudaMemcpyKind kind, cudaStream_t stream) {
  std::uint64_t address = 0;
  if (const int code = symbol_address(host, symbol, bytes, offset, &address)) return code;
  return copy(host, destination, pointer_to(address), bytes, kind, stream);
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return enter([&](const HostTable& host) { return allocate(host, pointer, bytes, "cudaMalloc"); });
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) {
  return enter([&](const HostTable& host) { return allocate(host, pointer, bytes, "cudaMallocAsync"); });
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
  constexpr size_t kPitchAlignment = 512;
  return enter([&](const HostTable& host) -> int {
    if (pitch == nullptr) return cudaErrorInvalidValue;
    *pitch = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
    return allocate(host, pointer, *pitch * height, "cudaMallocPitch");
  });
}

cudaError_t cudaFree(void* pointer) {
  return enter([&](const HostTable& host) { return release(host, pointer); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return enter([&](const HostTable& host) { return release(host, pointer); });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) {
  return enter([&](const HostTable& host) { return release(host, pointer); });
}

cudaError_t cudaHostGetDevicePointer(void** device_pointer, void* host_pointer, unsigned) {
  return enter([&](const HostTable& host) -> int {
    *device_pointer = host_pointer;
    return host.check_range(address_of(host_pointer), 1, 1, "the pointer of cudaHostGetDevicePointer");
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

cudaError_t cudaMemcpy(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind) {
  return enter([&](const HostTable& host) { return copy(host, destination, source, bytes, kind, nullptr); });
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return enter([&](const HostTable& host) { return copy(host, destination, source, bytes, kind, stream); });
}

cudaError_t cudaMemcpy2D(void* destination, size_t destination_pitch, const void* source, size_t source_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
  return enter([&](const HostTable& host) -> int {
    return copy_rows(host, destination, destination_pitch, source, source_pitch, width, height, kind, nullptr);
  });
}

cudaError_t cudaMemcpy2DAsync(void* destination, size_t destination_pitch, const void* source, size_t source_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int {
    return copy_rows(host, destination, destination_pitch, source, source_pitch, width, height, kind, stream);
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* source, size_t bytes, size_t offset,
                               cudaMemcpyKind kind) {
  return enter(
      [&](const HostTable& host) { return copy_to_symbol(host, symbol, source, bytes, offset, kind, nullptr); });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* source, size_t bytes, size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t stream) {
  return enter([&](const HostTable& host) { return copy_to_symbol(host, symbol, source, bytes, offset, kind, stream); });
}

cudaError_t cudaMemcpyFromSymbol(void* destination, const void* symbol, size_t bytes, size_t offset,
                                 cudaMemcpyKind kind) {
  return enter(
      [&](const HostTable& host) { return copy_from_symbol(host, destination, symbol, bytes, offset, kind, nullptr); });
}

cudaError_t cudaMemcpyFromSymbolAsync(void* destination, const void* symbol, size_t bytes, size_t offset,
                                      cudaMemcpyKind kind, cudaStream_t stream) {
  return enter(
      [&](const HostTable& host) { return copy_from_symbol(host, destination, symbol, bytes, offset, kind, stream); });
}

cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return enter([&](const HostTable& host) -> int {
    std::uint64_t address = 0;
    const int code = symbol_address(host, symbol, 0, 0, &address);
    *pointer = pointer_to(address);
    return code;
  });
}

cudaError_t cudaGetSymbolSize(size_t* bytes, const void* symbol) {
  return enter([&](const HostTable&) -> int {
    const Variable* variable = find_variable(symbol);
    if (variable == nullptr) return cudaErrorInvalidSymbol;
    *bytes = variable->bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void* destination, int value, size_t bytes) {
  return enter([&](const HostTable& host) { return fill_rows(host, destination, bytes, value, bytes, 1, nullptr); });
}

cudaError_t cudaMemsetAsync(void* destination, int value, size_t bytes, cudaStream_t stream) {
  return enter([&](const HostTable& host) { return fill_rows(host, destination, bytes, value, bytes, 1, stream); });
}

cudaError_t cudaMemset2D(void* destination, size_t pitch, int value, size_t width, size_t height) {
  return enter([&](const HostTable& host) { return fill_rows(host, destination, pitch, value, width, height, nullptr); });
}

cudaError_t cudaMemset2DAsync(void* destination, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return enter([&](const HostTable& host) { return fill_rows(host, destination, pitch, value, width, height, stream); });
}

}  // extern "C"

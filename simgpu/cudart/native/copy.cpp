// Copies and fills: linear, by rows, by planes, and of device variables. A call without "Async" waits for earlier work.
// The names that end in _ptds and _ptsz are those of code built with a default stream per thread.
#include "work.h"

using namespace standin;

namespace {

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

int symbol_copy(const HostTable& host, const void* symbol, void* other, size_t bytes, size_t offset,
                cudaMemcpyKind kind, bool to_symbol, CopyWork* work) {
  std::uint64_t address = 0;
  if (const int code = symbol_address(host, symbol, bytes, offset, &address)) return code;
  *work = to_symbol ? linear_copy(pointer_to(address), other, bytes, kind)
                    : linear_copy(other, pointer_to(address), bytes, kind);
  return cudaSuccess;
}

CopyWork row_copy(void* destination, size_t destination_pitch, const void* source, size_t source_pitch, size_t width,
                  size_t height, cudaMemcpyKind kind) {
  return {static_cast<char*>(destination), static_cast<const char*>(source), destination_pitch, source_pitch, 0, 0,
          width, height, 1, kind};
}

FillWork row_fill(void* destination, size_t pitch, int value, size_t width, size_t height) {
  return {static_cast<char*>(destination), pitch, static_cast<unsigned>(value) & 0xFF, 1, width, height};
}

// The planes of a 3D fill as rows, when nothing lies between them.
int describe_fill(const HostTable& host, cudaPitchedPtr to, int value, cudaExtent extent, FillWork* work) {
  if (extent.depth > 1 && to.ysize != extent.height) return host.unsupported("cudaMemset3D of part of a plane");
  *work = row_fill(to.ptr, to.pitch, value, extent.width, extent.height * extent.depth);
  return cudaSuccess;
}

cudaError_t wait_for(const Work& work, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int {
    if (const int code = refuse_if_capturing(stream)) return code;
    if (const int code = host.synchronize()) return code;
    return perform(host, work, stream);
  });
}

cudaError_t enqueue(const Work& work, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int { return submit(host, work, stream); });
}

// Describe work, then wait for it or enqueue it.
template <class Kind, class Describe>
cudaError_t described(cudaStream_t stream, bool waits, Describe&& describe) {
  return enter([&](const HostTable& host) -> int {
    Kind work;
    if (const int code = describe(host, &work)) return code;
    return waits ? wait_for(work, stream) : enqueue(work, stream);
  });
}

cudaError_t to_symbol(const void* symbol, const void* source, size_t bytes, size_t offset, cudaMemcpyKind kind,
                      cudaStream_t stream, bool waits) {
  return described<CopyWork>(stream, waits, [&](const HostTable& host, CopyWork* work) {
    return symbol_copy(host, symbol, const_cast<void*>(source), bytes, offset, kind, true, work);
  });
}

cudaError_t from_symbol(void* destination, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind,
                        cudaStream_t stream, bool waits) {
  return described<CopyWork>(stream, waits, [&](const HostTable& host, CopyWork* work) {
    return symbol_copy(host, symbol, destination, bytes, offset, kind, false, work);
  });
}

cudaError_t copy_planes(const cudaMemcpy3DParms* asked, cudaStream_t stream, bool waits) {
  return described<CopyWork>(stream, waits, [&](const HostTable& host, CopyWork* work) -> int {
    return asked == nullptr ? int{cudaErrorInvalidValue} : describe_copy(*asked, host, work);
  });
}

cudaError_t fill_planes(cudaPitchedPtr to, int value, cudaExtent extent, cudaStream_t stream, bool waits) {
  return described<FillWork>(stream, waits, [&](const HostTable& host, FillWork* work) {
    return describe_fill(host, to, value, extent, work);
  });
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return wait_for(linear_copy(to, from, bytes, kind), nullptr);
}

cudaError_t cudaMemcpy_ptds(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return wait_for(linear_copy(to, from, bytes, kind), cudaStreamPerThread);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue(linear_copy(to, from, bytes, kind), stream);
}

cudaError_t cudaMemcpyAsync_ptsz(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue(linear_copy(to, from, bytes, kind), own(stream));
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                         size_t height, cudaMemcpyKind kind) {
  return wait_for(row_copy(to, to_pitch, from, from_pitch, width, height, kind), nullptr);
}

cudaError_t cudaMemcpy2D_ptds(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind) {
  return wait_for(row_copy(to, to_pitch, from, from_pitch, width, height, kind), cudaStreamPerThread);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue(row_copy(to, to_pitch, from, from_pitch, width, height, kind), stream);
}

cudaError_t cudaMemcpy2DAsync_ptsz(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                   size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return enqueue(row_copy(to, to_pitch, from, from_pitch, width, height, kind), own(stream));
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return wait_for(row_fill(to, bytes, value, bytes, 1), nullptr);
}

cudaError_t cudaMemset_ptds(void* to, int value, size_t bytes) {
  return wait_for(row_fill(to, bytes, value, bytes, 1), cudaStreamPerThread);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return enqueue(row_fill(to, bytes, value, bytes, 1), stream);
}

cudaError_t cudaMemsetAsync_ptsz(void* to, int value, size_t bytes, cudaStream_t stream) {
  return enqueue(row_fill(to, bytes, value, bytes, 1), own(stream));
}

cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return wait_for(row_fill(to, pitch, value, width, height), nullptr);
}

cudaError_t cudaMemset2D_ptds(void* to, size_t pitch, int value, size_t width, size_t height) {
  return wait_for(row_fill(to, pitch, value, width, height), cudaStreamPerThread);
}

cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  return enqueue(row_fill(to, pitch, value, width, height), stream);
}

cudaError_t cudaMemset2DAsync_ptsz(void* to, size_t pitch, int value, size_t width, size_t height,
                                   cudaStream_t stream) {
  return enqueue(row_fill(to, pitch, value, width, height), own(stream));
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return to_symbol(symbol, from, bytes, offset, kind, nullptr, true);
}

cudaError_t cudaMemcpyToSymbol_ptds(const void* symbol, const void* from, size_t bytes, size_t offset,
                                    cudaMemcpyKind kind) {
  return to_symbol(symbol, from, bytes, offset, kind, cudaStreamPerThread, true);
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes, size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t stream) {
  return to_symbol(symbol, from, bytes, offset, kind, stream, false);
}

cudaError_t cudaMemcpyToSymbolAsync_ptsz(const void* symbol, const void* from, size_t bytes, size_t offset,
                                         cudaMemcpyKind kind, cudaStream_t stream) {
  return to_symbol(symbol, from, bytes, offset, kind, own(stream), false);
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return from_symbol(to, symbol, bytes, offset, kind, nullptr, true);
}

cudaError_t cudaMemcpyFromSymbol_ptds(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return from_symbol(to, symbol, bytes, offset, kind, cudaStreamPerThread, true);
}

cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t bytes, size_t offset,
                                      cudaMemcpyKind kind, cudaStream_t stream) {
  return from_symbol(to, symbol, bytes, offset, kind, stream, false);
}

cudaError_t cudaMemcpyFromSymbolAsync_ptsz(void* to, const void* symbol, size_t bytes, size_t offset,
                                           cudaMemcpyKind kind, cudaStream_t stream) {
  return from_symbol(to, symbol, bytes, offset, kind, own(stream), false);
}

cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* asked) { return copy_planes(asked, nullptr, true); }

cudaError_t cudaMemcpy3D_ptds(const cudaMemcpy3DParms* asked) { return copy_planes(asked, cudaStreamPerThread, true); }

cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* asked, cudaStream_t stream) {
  return copy_planes(asked, stream, false);
}

cudaError_t cudaMemcpy3DAsync_ptsz(const cudaMemcpy3DParms* asked, cudaStream_t stream) {
  return copy_planes(asked, own(stream), false);
}

cudaError_t cudaMemset3D(cudaPitchedPtr to, int value, cudaExtent extent) {
  return fill_planes(to, value, extent, nullptr, true);
}

cudaError_t cudaMemset3D_ptds(cudaPitchedPtr to, int value, cudaExtent extent) {
  return fill_planes(to, value, extent, cudaStreamPerThread, true);
}

cudaError_t cudaMemset3DAsync(cudaPitchedPtr to, int value, cudaExtent extent, cudaStream_t stream) {
  return fill_planes(to, value, extent, stream, false);
}

cudaError_t cudaMemset3DAsync_ptsz(cudaPitchedPtr to, int value, cudaExtent extent, cudaStream_t stream) {
  return fill_planes(to, value, extent, own(stream), false);
}

cudaError_t cudaMemcpyPeer(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  if (to_device != 0 || from_device != 0) return record(cudaErrorInvalidDevice);
  return wait_for(linear_copy(to, from, bytes, cudaMemcpyDeviceToDevice), nullptr);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream) {
  if (to_device != 0 || from_device != 0) return record(cudaErrorInvalidDevice);
  return enqueue(linear_copy(to, from, bytes, cudaMemcpyDeviceToDevice), stream);
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

}  // extern "C"

// Performs what was submitted to a stream: launches, copies, fills, host functions. Device addresses are host addresses,
// so a copy is a memmove once its ranges are checked.
#include "work.h"

#include <cstring>

#include "graph.h"

namespace standin {
namespace {

// Bytes from the first byte of the first row to the last byte of the last one.
std::size_t span_of(std::size_t pitch, std::size_t rows, const CopyWork& work) {
  return pitch * (rows * (work.depth - 1) + work.height - 1) + work.width;
}

int copy(const HostTable& host, const CopyWork& work, cudaStream_t stream) {
  if (work.kind < cudaMemcpyHostToHost || work.kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (work.width == 0 || work.height == 0 || work.depth == 0) return cudaSuccess;
  if (work.destination == nullptr || work.source == nullptr) return cudaErrorInvalidValue;
  const bool many_rows = work.height > 1 || work.depth > 1;
  if (many_rows && (work.width > work.destination_pitch || work.width > work.source_pitch))
    return cudaErrorInvalidPitchValue;
  const bool between_devices = work.kind == cudaMemcpyDeviceToDevice;
  if (const int code = host.check_range(address_of(work.destination),
                                        span_of(work.destination_pitch, work.destination_rows, work),
                                        work.kind == cudaMemcpyHostToDevice || between_devices,
                                        "the destination of a copy"))
    return code;
  if (const int code = host.check_range(address_of(work.source), span_of(work.source_pitch, work.source_rows, work),
                                        work.kind == cudaMemcpyDeviceToHost || between_devices, "the source of a copy"))
    return code;
  for (std::size_t plane = 0; plane < work.depth; ++plane)
    for (std::size_t row = 0; row < work.height; ++row)
      std::memmove(work.destination + work.destination_pitch * (plane * work.destination_rows + row),
                   work.source + work.source_pitch * (plane * work.source_rows + row), work.width);
  return host.moved(work.width * work.height * work.depth, work.kind, handle_id(stream));
}

int fill(const HostTable& host, const FillWork& work, cudaStream_t stream) {
  if (work.width == 0 || work.height == 0) return cudaSuccess;
  if (work.element != 1 && work.element != 2 && work.element != 4) return cudaErrorInvalidValue;
  const std::size_t row_bytes = work.width * work.element;
  if (work.height > 1 && row_bytes > work.pitch) return cudaErrorInvalidPitchValue;
  if (const int code = host.check_range(address_of(work.destination), work.pitch * (work.height - 1) + row_bytes, 1,
                                        "the destination of a memset"))
    return code;
  for (std::size_t row = 0; row < work.height; ++row) {
    char* start = work.destination + row * work.pitch;
    if (work.element == 1) {
      std::memset(start, static_cast<int>(work.value), row_bytes);
    } else {
      for (std::size_t at = 0; at < row_bytes; at += work.element) std::memcpy(start + at, &work.value, work.element);
    }
  }
  return host.moved(row_bytes * work.height, -1, handle_id(stream));
}

struct Performer {
  const HostTable& host;
  cudaStream_t stream;

  int operator()(const KernelWork& work) const {
    std::vector<void*> pointers;
    for (const auto& bytes : work.arguments) pointers.push_back(const_cast<char*>(bytes.data()));
    return launch_now(host, work.kernel, work.grid, work.block, pointers.data(), work.shared, work.cooperative, stream);
  }
  int operator()(const CopyWork& work) const { return copy(host, work, stream); }
  int operator()(const FillWork& work) const { return fill(host, work, stream); }
  int operator()(const HostWork& work) const {
    std::uint32_t flags = 0;
    if (const int code = host.stream_check(handle_id(stream), &flags)) return code;
    if (const int code = host.synchronize()) return code;
    work.function(work.data);
    return cudaSuccess;
  }
  int operator()(const RecordWork& work) const { return host.event_record(handle_id(work.event), handle_id(stream)); }
  int operator()(const WaitWork& work) const { return host.stream_wait(handle_id(stream), handle_id(work.event)); }
  int operator()(const ChildWork& work) const { return run_graph(host, *graph_of(work.graph), stream); }
  int operator()(const EmptyWork&) const { return cudaSuccess; }
};

}  // namespace

int launch_now(const HostTable& host, const Kernel* kernel, dim3 grid, dim3 block, void** arguments,
               std::size_t shared, bool cooperative, cudaStream_t stream) {
  const LaunchRequest request = {kernel->image, kernel->name.c_str(), {grid.x, grid.y, grid.z},
                                 {block.x, block.y, block.z}, shared, handle_id(stream), arguments,
                                 cooperative ? 1 : 0};
  const int code = host.launch(&request);
  if (!corrupts_context(code)) return code;
  // A launch is asynchronous: the fault shows in the calls after it.
  make_sticky(code);
  return cudaSuccess;
}

int describe_launch(const HostTable& host, const void* function, dim3 grid, dim3 block, void** arguments,
                    std::size_t shared, bool cooperative, KernelWork* work) {
  *work = {find_kernel(function), grid, block, shared, cooperative, {}, {}};
  if (work->kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  for (std::uint32_t index = 0;; ++index) {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    if (const int code = host.parameter(work->kernel->image, work->kernel->name.c_str(), index, &offset, &bytes))
      return code;
    if (bytes == 0) break;
    if (arguments == nullptr || arguments[index] == nullptr) return cudaErrorInvalidValue;
    const char* start = static_cast<const char*>(arguments[index]);
    work->arguments.emplace_back(start, start + bytes);
  }
  return cudaSuccess;
}

CopyWork linear_copy(void* destination, const void* source, std::size_t bytes, cudaMemcpyKind kind) {
  return {static_cast<char*>(destination), static_cast<const char*>(source), bytes, bytes, 1, 1, bytes, 1, 1, kind};
}

int describe_copy(const cudaMemcpy3DParms& asked, const HostTable& host, CopyWork* work) {
  if (asked.srcArray != nullptr || asked.dstArray != nullptr) return host.unsupported("cudaMemcpy3D with arrays");
  const cudaPitchedPtr& to = asked.dstPtr;
  const cudaPitchedPtr& from = asked.srcPtr;
  const std::size_t to_rows = to.ysize == 0 ? asked.extent.height : to.ysize;
  const std::size_t from_rows = from.ysize == 0 ? asked.extent.height : from.ysize;
  *work = {static_cast<char*>(to.ptr) + asked.dstPos.x + to.pitch * (asked.dstPos.y + to_rows * asked.dstPos.z),
           static_cast<const char*>(from.ptr) + asked.srcPos.x +
               from.pitch * (asked.srcPos.y + from_rows * asked.srcPos.z),
           to.pitch, from.pitch, to_rows, from_rows, asked.extent.width, asked.extent.height, asked.extent.depth,
           asked.kind};
  return cudaSuccess;
}

int perform(const HostTable& host, const Work& work, cudaStream_t stream) {
  return std::visit(Performer{host, stream}, work);
}

}  // namespace standin

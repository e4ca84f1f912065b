// Shared by the files of the stand-in CUDA runtime: the table of callbacks into the simulator, the error state of the
// runtime, and the registry of loaded device code.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace standin {

// A launch as the host code asked for it; mirrored by `_LaunchStruct` in simgpu/cudart/bridge.py.
struct LaunchRequest {
  std::uint64_t image;
  const char* kernel;
  std::uint32_t grid[3];
  std::uint32_t block[3];
  std::uint64_t dynamic_shared;
  std::uint64_t stream;
  void** arguments;  // one pointer per kernel parameter
  int cooperative;
};

// Callbacks into the simulator; mirrored field by field by `HostTable` in simgpu/cudart/bridge.py. Each returns a
// cudaError_t. An `image` names a registered fat binary: the address of a pointer to its wrapper, null once unregistered.
struct HostTable {
  const char* device_name;
  std::uint64_t device_memory;
  int (*allocate)(std::uint64_t bytes, const char* kind, std::uint64_t* address);
  int (*release)(std::uint64_t address);
  int (*check_range)(std::uint64_t address, std::uint64_t bytes, int must_be_device, const char* what);
  int (*find)(std::uint64_t address, std::uint64_t* base, std::uint64_t* bytes, int* is_host);
  int (*free_memory)(std::uint64_t* bytes);
  int (*moved)(std::uint64_t bytes, int kind, std::uint64_t stream);
  int (*synchronize)();
  int (*launch)(const LaunchRequest* request);
  int (*parameter)(std::uint64_t image, const char* kernel, std::uint32_t index, std::uint64_t* offset,
                   std::uint64_t* bytes);
  int (*register_host)(std::uint64_t address, std::uint64_t bytes);
  int (*unregister_host)(std::uint64_t address);
  int (*device_pointer)(std::uint64_t address, std::uint64_t* pointer);
  int (*symbol)(std::uint64_t image, const char* name, std::uint64_t* address, std::uint64_t* bytes);
  int (*function_attributes)(std::uint64_t image, const char* kernel, std::int64_t* values);
  int (*set_function_attribute)(std::uint64_t image, const char* kernel, int attribute, int value);
  int (*occupancy)(std::uint64_t image, const char* kernel, int threads, std::uint64_t dynamic_shared, int* blocks);
  int (*device_attribute)(int attribute, int* value);
  int (*device_reset)();
  int (*stream_create)(std::uint32_t flags, std::uint64_t* stream);
  int (*stream_destroy)(std::uint64_t stream);
  int (*stream_check)(std::uint64_t stream, std::uint32_t* flags);
  int (*stream_wait)(std::uint64_t stream, std::uint64_t event);
  int (*event_create)(std::uint32_t flags, std::uint64_t* event);
  int (*event_destroy)(std::uint64_t event);
  int (*event_record)(std::uint64_t event, std::uint64_t stream);
  int (*event_check)(std::uint64_t event);
  int (*event_elapsed)(std::uint64_t start, std::uint64_t end, float* milliseconds);
  int (*unsupported)(const char* what);
};

// The connected table, or null when no simulator is connected.
const HostTable* table();

// Record `code` as the calling thread's last error and return it; a fault of the device becomes sticky.
cudaError_t record(int code);

// The sticky error, or cudaSuccess.
cudaError_t sticky_error();
bool corrupts_context(int code);
void make_sticky(int code);

// Run one entry point: refuse when nothing is connected or a device fault is pending, else record what it returns.
template <class Body>
cudaError_t enter(Body&& body) {
  const HostTable* host = table();
  if (host == nullptr) return record(cudaErrorCudartUnloading);
  if (const cudaError_t sticky = sticky_error(); sticky != cudaSuccess) return sticky;
  return record(std::forward<Body>(body)(*host));
}

// A kernel of a registered fat binary. Its address serves as the cudaKernel_t.
struct Kernel {
  std::uint64_t image;
  std::string name;
};

// A __device__, __constant__ or __managed__ variable of a registered fat binary.
struct Variable {
  std::uint64_t image;
  std::string name;
  std::size_t bytes;
  void** managed_pointer;  // where the host expects the address of a __managed__ variable, else null
};

// Look up by host function pointer, or by the cudaKernel_t itself; null when unknown.
const Kernel* find_kernel(const void* function);
const Variable* find_variable(const void* host_variable);

inline std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }
inline void* pointer_to(std::uint64_t address) { return reinterpret_cast<void*>(address); }
template <class Handle>
std::uint64_t handle_id(Handle handle) { return reinterpret_cast<std::uint64_t>(handle); }

}  // namespace standin

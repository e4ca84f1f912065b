// Error state, the connection to the simulator, and the registration of device code by nvcc's start-up code.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "standin.h"

namespace standin {
namespace {

struct ErrorText {
  int code;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrorTexts[] = {
#define ERROR_TEXT(code, name, text) {code, #name, text},
#include "errors.inc"
#undef ERROR_TEXT
};

// Registered device code outlives every connection: constructors run once per loaded library.
struct Registry {
  std::mutex mutex;
  std::deque<void*> wrappers;  // the address of an element is the handle that nvcc's code keeps, never reused
  std::deque<Kernel> kernels;
  std::unordered_map<const void*, const Kernel*> kernels_by_pointer;  // by host function and by own address
  std::unordered_map<const void*, Variable> variables;
};

// Never destroyed: libraries unregister from exit handlers that may run after static destructors.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

std::atomic<const HostTable*> connected{nullptr};
std::atomic<int> sticky{cudaSuccess};
thread_local int last_error = cudaSuccess;

const ErrorText* error_text(int code) {
  const auto* found = std::find_if(std::begin(kErrorTexts), std::end(kErrorTexts),
                                   [code](const ErrorText& text) { return text.code == code; });
  return found == std::end(kErrorTexts) ? nullptr : found;
}

std::uint64_t image_of(void** handle) { return address_of(handle); }

}  // namespace

const HostTable* table() { return connected.load(); }

bool corrupts_context(int code) {
  switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

void make_sticky(int code) { sticky = code; }

cudaError_t sticky_error() { return static_cast<cudaError_t>(sticky.load()); }

cudaError_t record(int code) {
  if (code != cudaSuccess) last_error = code;
  if (corrupts_context(code)) sticky = code;
  return static_cast<cudaError_t>(code);
}

// For absent.cpp, which must not see the CUDA headers.
int report_absent(const char* name) {
  const HostTable* host = table();
  return record(host == nullptr ? static_cast<int>(cudaErrorNotSupported) : host->unsupported(name));
}

const Kernel* find_kernel(const void* function) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.kernels_by_pointer.find(function);
  return found == all.kernels_by_pointer.end() ? nullptr : found->second;
}

const Variable* find_variable(const void* host_variable) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.variables.find(host_variable);
  return found == all.variables.end() ? nullptr : &found->second;
}

}  // namespace standin

using namespace standin;

extern "C" {

// The table must live until the next call. Null disconnects: every later entry point refuses.
void kernelwright_standin_connect(const HostTable* host) { connected = host; }

void kernelwright_standin_clear_errors() {
  sticky = cudaSuccess;
  last_error = cudaSuccess;
}

cudaError_t cudaGetLastError() {
  if (sticky_error() != cudaSuccess) return sticky_error();
  return static_cast<cudaError_t>(std::exchange(last_error, int{cudaSuccess}));
}

cudaError_t cudaPeekAtLastError() {
  return sticky_error() != cudaSuccess ? sticky_error() : static_cast<cudaError_t>(last_error);
}

const char* cudaGetErrorName(cudaError_t code) {
  const ErrorText* text = error_text(code);
  return text == nullptr ? "unrecognized error code" : text->name;
}

const char* cudaGetErrorString(cudaError_t code) {
  const ErrorText* text = error_text(code);
  return text == nullptr ? "unrecognized error code" : text->text;
}

void** __cudaRegisterFatBinary(void* wrapper) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.wrappers.push_back(wrapper);
  return &all.wrappers.back();
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void** handle) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const std::uint64_t image = image_of(handle);
  *handle = nullptr;
  for (auto entry = all.kernels_by_pointer.begin(); entry != all.kernels_by_pointer.end();)
    entry = entry->second->image == image ? all.kernels_by_pointer.erase(entry) : std::next(entry);
  for (auto entry = all.variables.begin(); entry != all.variables.end();)
    entry = entry->second.image == image ? all.variables.erase(entry) : std::next(entry);
}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* device_name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.kernels.push_back({image_of(handle), device_name});
  all.kernels_by_pointer[host_function] = all.kernels_by_pointer[&all.kernels.back()] = &all.kernels.back();
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* device_name, int, size_t bytes, int,
                       int) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.variables[host_variable] = {image_of(handle), device_name, bytes, nullptr};
}

void __cudaRegisterManagedVar(void** handle, void** host_pointer, char*, const char* device_name, int, size_t bytes,
                              int, int) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.variables[host_pointer] = {image_of(handle), device_name, bytes, host_pointer};
}

// The first touch of a __managed__ variable comes here: give the host its address.
char __cudaInitModule(void** handle) {
  std::vector<Variable> managed;
  {
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    for (const auto& entry : all.variables)
      if (entry.second.image == image_of(handle) && entry.second.managed_pointer != nullptr)
        managed.push_back(entry.second);
  }
  const cudaError_t code = enter([&](const HostTable& host) -> int {
    for (const Variable& variable : managed) {
      std::uint64_t address = 0;
      std::uint64_t bytes = 0;
      if (const int failure = host.symbol(variable.image, variable.name.c_str(), &address, &bytes)) return failure;
      *variable.managed_pointer = pointer_to(address);
    }
    return cudaSuccess;
  });
  return code == cudaSuccess ? 1 : 0;
}

}  // extern "C"

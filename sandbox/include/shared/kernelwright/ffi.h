// What TVM FFI's C interface leaves to its callers. Shared by both kinds of headers, so it stands on TORCH_CHECK alone.
#pragma once

#include <string>

#include <tvm/ffi/c_api.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <cuda_runtime.h>

namespace kernelwright {

// Turn the error that a TVM FFI call left behind into an exception.
[[noreturn]] inline void throw_raised() {
  TVMFFIObjectHandle error = nullptr;
  TVMFFIErrorMoveFromRaised(&error);
  std::string kind, text = "TVM FFI failed without an error";
  if (error != nullptr) {
    const TVMFFIErrorCell* cell = TVMFFIErrorGetCellPtr(error);
    kind.assign(cell->kind.data, cell->kind.size);
    text.assign(cell->message.data, cell->message.size);
    TVMFFIObjectDecRef(error);
  }
  TORCH_CHECK_WITH(OutOfMemoryError, kind != "MemoryError", text);
  TORCH_CHECK(false, text);
  throw 0;  // not reached; the macros don't say that they never return
}

inline void check_ffi(int code) {
  if (code != 0) throw_raised();
}

inline cudaStream_t current_stream(int device) {
  return static_cast<cudaStream_t>(TVMFFIEnvGetStream(kDLCUDA, device));
}

// One reference to a TVM FFI object, given back at the end of its scope.
class Owned {
 public:
  explicit Owned(TVMFFIObjectHandle handle) : handle_(handle) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle_ != nullptr) TVMFFIObjectDecRef(handle_);
  }
  TVMFFIObjectHandle get() const { return handle_; }

 private:
  TVMFFIObjectHandle handle_;
};

}  // namespace kernelwright

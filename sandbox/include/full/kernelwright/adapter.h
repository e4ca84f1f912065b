// How PyTorch's own tensor crosses the border of TVM FFI, by DLPack and without a copy.
#pragma once

#include <ATen/DLConvertor.h>
#include <torch/types.h>

#include <kernelwright/ffi.h>
#include <kernelwright/watch.h>

namespace kernelwright {

inline at::Tensor tensor_of(TVMFFIObjectHandle handle) {
  DLManagedTensor* managed = nullptr;
  check_ffi(TVMFFITensorToDLPack(handle, &managed));
  return at::fromDLPack(managed);
}

// A new TVM FFI tensor that shares the memory.
inline TVMFFIObjectHandle handle_of(const at::Tensor& tensor) {
  TVMFFIObjectHandle handle = nullptr;
  check_ffi(TVMFFITensorFromDLPack(at::toDLPack(tensor), 0, 0, &handle));
  return handle;
}

}  // namespace kernelwright

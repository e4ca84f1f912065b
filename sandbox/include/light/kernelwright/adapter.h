// How the light tensor crosses the border of TVM FFI.
#pragma once

#include <kernelwright/factories.h>

namespace kernelwright {

inline at::Tensor tensor_of(TVMFFIObjectHandle handle) { return at::Tensor::share(handle); }

// A new reference to the tensor's object.
inline TVMFFIObjectHandle handle_of(const at::Tensor& tensor) { return at::Tensor(tensor).release(); }

// Nothing here computes, so there is nothing to watch.
template <typename Body>
void watched(Body body) {
  body();
}

}  // namespace kernelwright

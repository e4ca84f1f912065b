// Tensors made from sizes: allocated by the caller of the candidate, filled by copies and memset.
#pragma once

#include <kernelwright/views.h>

namespace at {

inline Tensor empty(IntArrayRef sizes, const TensorOptions& options = {}, optional<MemoryFormat> = nullopt) {
  int device = options.device().index();
  if (options.device().is_cuda() && device < 0) C10_CUDA_CHECK(cudaGetDevice(&device));
  DLTensor prototype{};
  prototype.device = {options.device().is_cuda() ? kDLCUDA : kDLCPU, std::max(device, 0)};
  prototype.ndim = static_cast<int32_t>(sizes.size());
  prototype.dtype = kernelwright::to_dlpack(options.dtype());
  prototype.shape = const_cast<int64_t*>(sizes.data());
  for (int64_t size : sizes) TORCH_CHECK(size >= 0, "a size is negative: ", sizes);
  TVMFFIObjectHandle handle = nullptr;
  kernelwright::check_ffi(TVMFFIEnvTensorAlloc(&prototype, &handle));
  return Tensor::adopt(handle);
}

inline Tensor empty_strided(IntArrayRef sizes, IntArrayRef strides, const TensorOptions& options = {}) {
  TORCH_CHECK(sizes.size() == strides.size(), "empty_strided needs one stride per size");
  int64_t extent = 1;
  for (size_t i = 0; i < sizes.size(); ++i) extent = sizes[i] == 0 ? 0 : extent + (sizes[i] - 1) * strides[i];
  return empty({extent}, options).as_strided(sizes, strides);
}

inline Tensor zeros(IntArrayRef sizes, const TensorOptions& options = {}) {
  Tensor tensor = empty(sizes, options);
  return tensor.zero_();
}
inline Tensor full(IntArrayRef sizes, const Scalar& value, const TensorOptions& options = {}) {
  Tensor tensor = empty(sizes, options);
  return tensor.fill_(value);
}
inline Tensor ones(IntArrayRef sizes, const TensorOptions& options = {}) { return full(sizes, 1, options); }

// A dense tensor keeps its order of axes, as in PyTorch.
inline Tensor empty_like(const Tensor& like, const TensorOptions& given, optional<MemoryFormat> format = nullopt) {
  const TensorOptions options = like.options().merge_in(given);
  const bool keep = format.value_or(MemoryFormat::Preserve) == MemoryFormat::Preserve;
  if (keep && !like.is_contiguous() && like.is_non_overlapping_and_dense())
    return empty_strided(like.sizes(), like.strides(), options);
  return empty(like.sizes(), options);
}
inline Tensor empty_like(const Tensor& like, optional<MemoryFormat> format = nullopt) {
  return empty_like(like, like.options(), format);
}
#define KERNELWRIGHT_FILLED_LIKE(name, value)                                                                   \
  inline Tensor name(const Tensor& like, const TensorOptions& options, optional<MemoryFormat> format = nullopt) { \
    Tensor tensor = empty_like(like, options, format);                                                          \
    return tensor.fill_(value);                                                                                 \
  }                                                                                                             \
  inline Tensor name(const Tensor& like, optional<MemoryFormat> format = nullopt) {                             \
    return name(like, like.options(), format);                                                                  \
  }
KERNELWRIGHT_FILLED_LIKE(zeros_like, 0)
KERNELWRIGHT_FILLED_LIKE(ones_like, 1)
#undef KERNELWRIGHT_FILLED_LIKE
inline Tensor full_like(const Tensor& like, const Scalar& value, const TensorOptions& options) {
  Tensor tensor = empty_like(like, options);
  return tensor.fill_(value);
}
inline Tensor full_like(const Tensor& like, const Scalar& value) { return full_like(like, value, like.options()); }

inline Tensor Tensor::clone(MemoryFormat format) const {
  Tensor copy = empty_like(*this, format);
  return copy.copy_(*this);
}
// A table of constants may go from the host to a card. The other way, the host could do the kernel's work.
inline Tensor Tensor::to(Device target) const {
  if (target.type() == device().type()) return *this;
  TORCH_CHECK(target.is_cuda(), "to(", target, ") would have to move a tensor from ", device());
  TORCH_CHECK(is_non_overlapping_and_dense(), "only a dense tensor can be moved to ", target);
  Tensor moved = empty_like(*this, options().device(target));
  moved.move_bytes(moved.data_ptr(), data_ptr(), nbytes());
  return moved;
}
inline Tensor Tensor::new_empty(IntArrayRef sizes, const TensorOptions& options) const { return empty(sizes, options); }
inline Tensor Tensor::new_zeros(IntArrayRef sizes, const TensorOptions& options) const { return zeros(sizes, options); }

}  // namespace at

namespace torch {
using namespace at;
using Dtype = c10::ScalarType;
// Nothing here records a graph, so there is nothing to switch off.
struct NoGradGuard {
  NoGradGuard() {}
};
}  // namespace torch

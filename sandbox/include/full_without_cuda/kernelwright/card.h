// PyTorch's CPU build learns to hold tensors of a card: allocation through TVM FFI, views, fills and dense copies.
//
// Every other operator has no implementation for the device, so PyTorch itself refuses to compute there.
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/cuda/CUDAException.h>
#include <torch/library.h>

#include <kernelwright/adapter.h>

namespace kernelwright {

class CardAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    int64_t size = static_cast<int64_t>(bytes);
    DLTensor prototype{};
    prototype.device = {kDLCUDA, 0};
    prototype.ndim = 1;
    prototype.dtype = {kDLUInt, 8, 1};
    prototype.shape = &size;
    TVMFFIObjectHandle handle = nullptr;
    check_ffi(TVMFFIEnvTensorAlloc(&prototype, &handle));
    void* data = TVMFFITensorGetDLTensorPtr(handle)->data;
    return {data, handle, &CardAllocator::release, c10::Device(c10::DeviceType::CUDA, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* target, const void* source, size_t count) const override {
    C10_CUDA_CHECK(cudaMemcpyAsync(target, source, count, cudaMemcpyDefault, current_stream(0)));
  }
  static CardAllocator& instance() {
    static CardAllocator allocator;
    return allocator;
  }

 private:
  static void release(void* handle) { TVMFFIObjectDecRef(handle); }
};

// One card, and the stream that TVM FFI names.
struct CardGuard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  static c10::Device card() { return c10::Device(c10::DeviceType::CUDA, 0); }
  c10::Device exchangeDevice(c10::Device) const override { return card(); }
  c10::Device getDevice() const override { return card(); }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, card()); }
};

constexpr c10::DispatchKeySet kCardKeys(c10::DispatchKey::CUDA);

inline at::Tensor card_empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                             std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &CardAllocator::instance(), kCardKeys, c10::dtype_or_default(dtype), format);
}
inline at::Tensor card_empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                                     std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                                     std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &CardAllocator::instance(), kCardKeys,
                                           c10::dtype_or_default(dtype));
}
inline at::Tensor card_alias(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return at::native::as_strided_tensorimpl(self, sizes, strides, std::nullopt);
}

// Fill without a kernel: a first stretch from the host, then copies that double it.
inline at::Tensor& card_fill(at::Tensor& self, const at::Scalar& value) {
  TORCH_CHECK(self.is_non_overlapping_and_dense(), "only a dense tensor can be filled");
  at::Tensor pattern = at::empty({std::min<int64_t>(std::max<int64_t>(self.numel(), 1), 4096)},
                                 at::TensorOptions().dtype(self.scalar_type()));
  pattern.fill_(value);
  char* target = static_cast<char*>(self.mutable_data_ptr());
  const cudaStream_t stream = current_stream(0);
  size_t done = std::min(pattern.nbytes(), self.nbytes());
  if (done == 0) return self;
  C10_CUDA_CHECK(cudaMemcpyAsync(target, pattern.const_data_ptr(), done, cudaMemcpyDefault, stream));
  for (; done < self.nbytes(); done *= 2)
    C10_CUDA_CHECK(
        cudaMemcpyAsync(target + done, target, std::min(done, self.nbytes() - done), cudaMemcpyDefault, stream));
  return self;
}
inline at::Tensor& card_zero(at::Tensor& self) {
  TORCH_CHECK(self.is_non_overlapping_and_dense(), "only a dense tensor can be filled");
  C10_CUDA_CHECK(cudaMemsetAsync(self.mutable_data_ptr(), 0, self.nbytes(), current_stream(0)));
  return self;
}

inline at::Tensor& card_copy(at::Tensor& self, const at::Tensor& source, bool) {
  TORCH_CHECK(self.is_cuda() && (source.is_cuda() || source.is_cpu()), "copy_ would have to move a tensor from ", source.device(), " to ",
              self.device());
  TORCH_CHECK(self.scalar_type() == source.scalar_type(), "copy_ would have to convert ", source.scalar_type(), " to ",
              self.scalar_type(), ": convert in the kernel");
  TORCH_CHECK(self.sizes() == source.sizes() && self.strides() == source.strides() &&
                  self.is_non_overlapping_and_dense(),
              "copy_ copies between dense tensors of one shape and layout only: read the others by their strides in the"
              " kernel");
  if (self.nbytes() != 0)
    C10_CUDA_CHECK(cudaMemcpyAsync(self.mutable_data_ptr(), source.const_data_ptr(), self.nbytes(), cudaMemcpyDefault,
                                   current_stream(0)));
  return self;
}

inline at::Scalar card_item(const at::Tensor& self) {
  at::Tensor host = at::empty({1}, at::TensorOptions().dtype(self.scalar_type()));
  C10_CUDA_CHECK(cudaMemcpy(host.mutable_data_ptr(), self.const_data_ptr(), self.nbytes(), cudaMemcpyDefault));
  return host.item();
}

C10_REGISTER_GUARD_IMPL(CUDA, CardGuard);

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", &card_empty);
  m.impl("empty_strided", &card_empty_strided);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &card_alias);
  m.impl("fill_.Scalar", &card_fill);
  m.impl("zero_", &card_zero);
  m.impl("copy_", &card_copy);
  m.impl("_local_scalar_dense", &card_item);
}

}  // namespace kernelwright

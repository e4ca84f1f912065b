// The tensor of the light headers: a counted reference to a TVM FFI tensor.
//
// It describes and allocates; it never computes. A source that needs an operator of PyTorch's does not compile here.
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include <tvm/ffi/c_api.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <kernelwright/accessor.h>
#include <kernelwright/sizes.h>

namespace kernelwright {

// Turn the error that a TVM FFI call left behind into an exception.
[[noreturn]] inline void throw_raised() {
  TVMFFIObjectHandle error = nullptr;
  TVMFFIErrorMoveFromRaised(&error);
  if (error == nullptr) fail("TVM FFI failed without an error");
  const TVMFFIErrorCell* cell = TVMFFIErrorGetCellPtr(error);
  const std::string kind(cell->kind.data, cell->kind.size);
  const std::string text(cell->message.data, cell->message.size);
  TVMFFIObjectDecRef(error);
  if (kind == "MemoryError") throw c10::OutOfMemoryError(text);
  fail(text);
}

inline void check_ffi(int code) {
  if (code != 0) throw_raised();
}

inline cudaStream_t current_stream(int device) {
  return static_cast<cudaStream_t>(TVMFFIEnvGetStream(kDLCUDA, device));
}

inline std::vector<int64_t> dense_strides(c10::IntArrayRef sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

}  // namespace kernelwright

namespace at {

class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& other) : handle_(other.handle_) {
    if (handle_ != nullptr) TVMFFIObjectIncRef(handle_);
  }
  Tensor(Tensor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Tensor() {
    if (handle_ != nullptr) TVMFFIObjectDecRef(handle_);
  }

  // Take over one reference to a TVM FFI tensor object.
  static Tensor adopt(TVMFFIObjectHandle handle) {
    Tensor tensor;
    tensor.handle_ = handle;
    return tensor;
  }
  static Tensor share(TVMFFIObjectHandle handle) {
    TVMFFIObjectIncRef(handle);
    return adopt(handle);
  }
  TVMFFIObjectHandle release() { return std::exchange(handle_, nullptr); }

  bool defined() const { return handle_ != nullptr; }
  bool is_same(const Tensor& other) const { return handle_ == other.handle_; }
  bool requires_grad() const { return false; }

  int64_t dim() const { return dl().ndim; }
  int64_t ndimension() const { return dim(); }
  IntArrayRef sizes() const { return IntArrayRef(dl().shape, static_cast<size_t>(dl().ndim)); }
  IntArrayRef strides() const {
    TORCH_CHECK(dl().ndim == 0 || dl().strides != nullptr, "the tensor has no strides");
    return IntArrayRef(dl().strides, static_cast<size_t>(dl().ndim));
  }
  int64_t size(int64_t axis) const { return sizes()[wrap(axis)]; }
  int64_t stride(int64_t axis) const { return strides()[wrap(axis)]; }
  int64_t numel() const {
    int64_t count = 1;
    for (int64_t size : sizes()) count *= size;
    return count;
  }
  size_t itemsize() const { return elementSize(scalar_type()); }
  int64_t element_size() const { return static_cast<int64_t>(itemsize()); }
  size_t nbytes() const { return static_cast<size_t>(numel()) * itemsize(); }

  ScalarType scalar_type() const { return kernelwright::from_dlpack(dl().dtype); }
  ScalarType dtype() const { return scalar_type(); }
  bool is_floating_point() const { return isFloatingType(scalar_type()); }
  Device device() const {
    return is_cuda() ? Device(kCUDA, static_cast<DeviceIndex>(dl().device.device_id)) : Device(kCPU);
  }
  int64_t get_device() const { return is_cuda() ? dl().device.device_id : -1; }
  bool is_cuda() const { return dl().device.device_type == kDLCUDA; }
  bool is_cpu() const { return !is_cuda(); }
  TensorOptions options() const { return TensorOptions(scalar_type()).device(device()); }
  bool is_contiguous(MemoryFormat = MemoryFormat::Contiguous) const {
    int64_t step = 1;
    for (int64_t axis = dim(); axis-- > 0;) {
      if (size(axis) == 0) return true;
      if (size(axis) != 1 && stride(axis) != step) return false;
      step *= size(axis);
    }
    return true;
  }
  bool is_non_overlapping_and_dense() const { return is_contiguous(); }

  void* data_ptr() const { return static_cast<char*>(dl().data) + dl().byte_offset; }
  const void* const_data_ptr() const { return data_ptr(); }
  void* mutable_data_ptr() const { return data_ptr(); }
  template <typename T>
  T* data_ptr() const {
    check_type<std::remove_const_t<T>>();
    return static_cast<T*>(data_ptr());
  }
  template <typename T>
  const T* const_data_ptr() const {
    return data_ptr<const T>();
  }
  template <typename T>
  T* mutable_data_ptr() const {
    return data_ptr<T>();
  }
  template <typename T>
  T* data() const {
    return data_ptr<T>();
  }

  template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
  PackedTensorAccessor<T, N, Traits, int32_t> packed_accessor32() const {
    check_rank(N);
    return {data_ptr<T>(), sizes().data(), strides().data()};
  }
  template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
  PackedTensorAccessor<T, N, Traits, int64_t> packed_accessor64() const {
    check_rank(N);
    return {data_ptr<T>(), sizes().data(), strides().data()};
  }
  template <typename T, size_t N>
  TensorAccessor<T, N> accessor() const {
    check_rank(N);
    return {data_ptr<T>(), sizes().data(), strides().data()};
  }

  // Views share the memory and copy nothing.
  Tensor as_strided(IntArrayRef sizes, IntArrayRef strides) const {
    DLTensor prototype = dl();
    prototype.ndim = static_cast<int32_t>(sizes.size());
    prototype.shape = const_cast<int64_t*>(sizes.data());
    prototype.strides = const_cast<int64_t*>(strides.data());
    TVMFFIObjectHandle view = nullptr;
    kernelwright::check_ffi(TVMFFITensorCreateUnsafeView(handle_, &prototype, &view));
    return adopt(view);
  }
  Tensor view(IntArrayRef shape) const {
    TORCH_CHECK(is_contiguous(), "view needs a contiguous tensor");
    std::vector<int64_t> sizes = shape.vec();
    int64_t known = 1;
    int64_t* open = nullptr;
    for (int64_t& size : sizes) {
      if (size >= 0) {
        known *= size;
      } else {
        TORCH_CHECK(open == nullptr, "only one size can be inferred");
        open = &size;
      }
    }
    if (open != nullptr) *open = known == 0 ? 0 : numel() / known;
    if (open != nullptr) known *= *open;
    TORCH_CHECK(known == numel(), "shape ", shape, " does not hold ", numel(), " elements");
    return as_strided(sizes, kernelwright::dense_strides(sizes));
  }
  Tensor reshape(IntArrayRef shape) const { return view(shape); }
  Tensor view_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor reshape_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor flatten(int64_t first = 0, int64_t last = -1) const {
    if (dim() == 0) return view({1});
    const size_t from = wrap(first), to = wrap(last);
    std::vector<int64_t> shape(sizes().begin(), sizes().begin() + from + 1);
    for (size_t axis = from + 1; axis <= to; ++axis) shape[from] *= sizes()[axis];
    shape.insert(shape.end(), sizes().begin() + to + 1, sizes().end());
    return view(shape);
  }
  Tensor unsqueeze(int64_t axis) const {
    const int64_t place = axis < 0 ? axis + dim() + 1 : axis;
    TORCH_CHECK(0 <= place && place <= dim(), "axis ", axis, " is out of range");
    std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
    const int64_t step = place < dim() ? shape[place] * steps[place] : 1;
    shape.insert(shape.begin() + place, 1);
    steps.insert(steps.begin() + place, step);
    return as_strided(shape, steps);
  }
  Tensor squeeze(int64_t axis) const {
    const size_t place = wrap(axis);
    if (sizes()[place] != 1) return *this;
    std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
    shape.erase(shape.begin() + place);
    steps.erase(steps.begin() + place);
    return as_strided(shape, steps);
  }
  Tensor permute(IntArrayRef order) const {
    TORCH_CHECK(static_cast<int64_t>(order.size()) == dim(), "permute needs every axis once");
    std::vector<int64_t> shape, steps;
    for (int64_t axis : order) {
      shape.push_back(size(axis));
      steps.push_back(stride(axis));
    }
    return as_strided(shape, steps);
  }
  Tensor transpose(int64_t first, int64_t second) const {
    std::vector<int64_t> order(static_cast<size_t>(dim()));
    for (size_t axis = 0; axis < order.size(); ++axis) order[axis] = static_cast<int64_t>(axis);
    std::swap(order[wrap(first)], order[wrap(second)]);
    return permute(order);
  }
  Tensor t() const { return dim() < 2 ? *this : transpose(0, 1); }

  Tensor contiguous(MemoryFormat = MemoryFormat::Contiguous) const {
    TORCH_CHECK(is_contiguous(), "contiguous() would have to copy a strided tensor: read it by its strides in the kernel");
    return *this;
  }
  Tensor detach() const { return *this; }
  Tensor cuda() const { return to(Device(kCUDA)); }
  Tensor to(ScalarType type) const {
    TORCH_CHECK(type == scalar_type(), "to(", type, ") would have to convert ", scalar_type(), ": convert in the kernel");
    return *this;
  }
  Tensor to(Device target) const {
    TORCH_CHECK(target.type() == device().type(), "to(", target, ") would have to move a tensor from ", device());
    return *this;
  }
  Tensor to(const TensorOptions& target) const { return to(target.dtype()).to(target.device()); }

  Tensor& zero_() {
    set_bytes(0);
    return *this;
  }
  template <typename T>
  Tensor& fill_(T value) {
    switch (scalar_type()) {
#define KERNELWRIGHT_FILL(Type, Name)            \
  case ScalarType::Name: {                       \
    const Type element = static_cast<Type>(value); \
    repeat(&element, sizeof element);            \
    break;                                       \
  }
      KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_FILL)
#undef KERNELWRIGHT_FILL
      default:
        kernelwright::fail("fill_ does not know this element type");
    }
    return *this;
  }
  Tensor& copy_(const Tensor& source, bool = false) {
    TORCH_CHECK(source.sizes() == sizes() && source.scalar_type() == scalar_type() && is_contiguous() &&
                    source.is_contiguous(),
                "copy_ copies between contiguous tensors of one shape and type only");
    move_bytes(data_ptr(), source.data_ptr(), nbytes());
    return *this;
  }
  Tensor clone() const;
  template <typename T>
  T item() const {
    TORCH_CHECK(numel() == 1, "item() needs a tensor of one element");
    T value{};
    C10_CUDA_CHECK(cudaMemcpy(&value, data_ptr<T>(), sizeof value, cudaMemcpyDefault));
    return value;
  }

 private:
  const DLTensor& dl() const {
    TORCH_CHECK(handle_ != nullptr, "the tensor is undefined");
    return *TVMFFITensorGetDLTensorPtr(handle_);
  }
  size_t wrap(int64_t axis) const {
    const int64_t wrapped = axis < 0 ? axis + dim() : axis;
    TORCH_CHECK(0 <= wrapped && wrapped < dim(), "axis ", axis, " is out of range for a tensor of ", dim(), " axes");
    return static_cast<size_t>(wrapped);
  }
  void check_rank(size_t rank) const {
    TORCH_CHECK(static_cast<size_t>(dim()) == rank, "expected ", rank, " axes, found ", dim());
  }
  template <typename T>
  void check_type() const {
    const ScalarType found = scalar_type();
    if (std::is_void<T>::value) return;
    if (CppTypeToScalarType<T>::value == ScalarType::Undefined) {
      TORCH_CHECK(is_two_byte_float<T> && (found == ScalarType::Half || found == ScalarType::BFloat16),
                  "data_ptr<T>() does not know this type for a tensor of ", found);
    } else {
      TORCH_CHECK(CppTypeToScalarType<T>::value == found, "expected scalar type ", CppTypeToScalarType<T>::value,
                  " but found ", found);
    }
  }
  cudaStream_t stream() const { return kernelwright::current_stream(dl().device.device_id); }
  void set_bytes(int byte) const {
    TORCH_CHECK(is_contiguous(), "only a contiguous tensor can be filled");
    if (nbytes() == 0) return;
    if (is_cuda()) {
      C10_CUDA_CHECK(cudaMemsetAsync(data_ptr(), byte, nbytes(), stream()));
    } else {
      std::memset(data_ptr(), byte, nbytes());
    }
  }
  void move_bytes(void* target, const void* source, size_t count) const {
    if (count == 0) return;
    if (is_cuda()) {
      C10_CUDA_CHECK(cudaMemcpyAsync(target, source, count, cudaMemcpyDefault, stream()));
    } else {
      std::memcpy(target, source, count);
    }
  }
  // Fill without a kernel of our own: a first stretch from the host, then copies that double it.
  void repeat(const void* element, size_t width) const {
    const unsigned char* bytes = static_cast<const unsigned char*>(element);
    if (std::all_of(bytes, bytes + width, [&](unsigned char byte) { return byte == bytes[0]; })) {
      set_bytes(bytes[0]);
      return;
    }
    TORCH_CHECK(is_contiguous(), "only a contiguous tensor can be filled");
    std::vector<unsigned char> stretch(std::min<size_t>(nbytes(), 4096 * width));
    for (size_t i = 0; i < stretch.size(); ++i) stretch[i] = bytes[i % width];
    move_bytes(data_ptr(), stretch.data(), stretch.size());
    for (size_t done = stretch.size(); done < nbytes(); done *= 2) {
      move_bytes(static_cast<char*>(data_ptr()) + done, data_ptr(), std::min(done, nbytes() - done));
    }
  }

  TVMFFIObjectHandle handle_ = nullptr;
};

using TensorList = ArrayRef<Tensor>;

template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
using PackedTensorAccessor32 = PackedTensorAccessor<T, N, Traits, int32_t>;
template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
using PackedTensorAccessor64 = PackedTensorAccessor<T, N, Traits, int64_t>;

inline Tensor empty(IntArrayRef sizes, const TensorOptions& options = {}) {
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
template <typename T>
Tensor full(IntArrayRef sizes, T value, const TensorOptions& options = {}) {
  Tensor tensor = empty(sizes, options);
  return tensor.fill_(value);
}
inline Tensor ones(IntArrayRef sizes, const TensorOptions& options = {}) { return full(sizes, 1, options); }

inline Tensor empty_like(const Tensor& like) { return empty(like.sizes(), like.options()); }
inline Tensor empty_like(const Tensor& like, const TensorOptions& options) { return empty(like.sizes(), options); }
inline Tensor zeros_like(const Tensor& like) { return zeros(like.sizes(), like.options()); }
inline Tensor zeros_like(const Tensor& like, const TensorOptions& options) { return zeros(like.sizes(), options); }
inline Tensor ones_like(const Tensor& like) { return ones(like.sizes(), like.options()); }
inline Tensor ones_like(const Tensor& like, const TensorOptions& options) { return ones(like.sizes(), options); }
template <typename T>
Tensor full_like(const Tensor& like, T value) {
  return full(like.sizes(), value, like.options());
}

inline Tensor Tensor::clone() const {
  Tensor copy = empty_like(*this);
  return copy.copy_(*this);
}

}  // namespace at

namespace torch {
using namespace at;
using Dtype = c10::ScalarType;
}  // namespace torch

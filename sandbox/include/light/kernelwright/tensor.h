// The tensor of the light headers: a counted reference to a TVM FFI tensor.
//
// It describes and allocates; it never computes. A source that needs an operator of PyTorch's does not compile here.
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include <kernelwright/accessor.h>
#include <kernelwright/sizes.h>

#include <kernelwright/ffi.h>

namespace kernelwright {

// Axes from the slowest to the fastest.
inline std::vector<int64_t> row_major(int64_t axes) {
  std::vector<int64_t> order(static_cast<size_t>(axes));
  for (int64_t axis = 0; axis < axes; ++axis) order[static_cast<size_t>(axis)] = axis;
  return order;
}
inline std::vector<int64_t> channels_last(int64_t axes) {
  std::vector<int64_t> order = row_major(axes);
  std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}
inline bool dense_in_order(c10::IntArrayRef sizes, c10::IntArrayRef strides, const std::vector<int64_t>& order) {
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const size_t axis = static_cast<size_t>(order[i]);
    if (sizes[axis] == 0) return true;
    if (sizes[axis] != 1 && strides[axis] != step) return false;
    step *= sizes[axis];
  }
  return true;
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

// What the old `x.type()` gives.
class ElementType {
 public:
  ElementType(ScalarType type, bool cuda) : type_(type), cuda_(cuda) {}
  operator ScalarType() const { return type_; }
  ScalarType scalarType() const { return type_; }
  bool is_cuda() const { return cuda_; }

 private:
  ScalarType type_;
  bool cuda_;
};

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
  ElementType type() const { return {scalar_type(), is_cuda()}; }
  bool is_floating_point() const { return isFloatingType(scalar_type()); }
  Device device() const {
    return is_cuda() ? Device(kCUDA, static_cast<DeviceIndex>(dl().device.device_id)) : Device(kCPU);
  }
  int64_t get_device() const { return is_cuda() ? dl().device.device_id : -1; }
  bool is_cuda() const { return dl().device.device_type == kDLCUDA; }
  bool is_cpu() const { return !is_cuda(); }
  TensorOptions options() const { return TensorOptions(scalar_type()).device(device()); }
  Layout layout() const { return kStrided; }
  bool is_contiguous(MemoryFormat format = MemoryFormat::Contiguous) const {
    if (format != MemoryFormat::ChannelsLast && format != MemoryFormat::ChannelsLast3d)
      return kernelwright::dense_in_order(sizes(), strides(), kernelwright::row_major(dim()));
    const bool planes = format == MemoryFormat::ChannelsLast;
    return dim() == (planes ? 4 : 5) &&
           kernelwright::dense_in_order(sizes(), strides(), kernelwright::channels_last(dim()));
  }
  bool is_non_overlapping_and_dense() const {
    std::vector<int64_t> order = kernelwright::row_major(dim());
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return stride(a) > stride(b); });
    return kernelwright::dense_in_order(sizes(), strides(), order);
  }
  MemoryFormat suggest_memory_format() const {
    if (!is_contiguous() && is_contiguous(MemoryFormat::ChannelsLast)) return MemoryFormat::ChannelsLast;
    return MemoryFormat::Contiguous;
  }

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
  // `offset` counts elements from where this tensor begins.
  Tensor as_strided(IntArrayRef sizes, IntArrayRef strides, int64_t offset = 0) const {
    DLTensor prototype = dl();
    prototype.ndim = static_cast<int32_t>(sizes.size());
    prototype.shape = const_cast<int64_t*>(sizes.data());
    prototype.strides = const_cast<int64_t*>(strides.data());
    prototype.data = static_cast<char*>(prototype.data) + offset * static_cast<int64_t>(itemsize());
    TVMFFIObjectHandle view = nullptr;
    kernelwright::check_ffi(TVMFFITensorCreateUnsafeView(handle_, &prototype, &view));
    return adopt(view);
  }
  Tensor view(IntArrayRef shape) const;
  Tensor reshape(IntArrayRef shape) const { return view(shape); }
  Tensor view_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor reshape_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor flatten(int64_t first = 0, int64_t last = -1) const;
  Tensor unsqueeze(int64_t axis) const;
  Tensor squeeze() const;
  Tensor squeeze(int64_t axis) const;
  Tensor permute(IntArrayRef order) const;
  Tensor transpose(int64_t first, int64_t second) const;
  Tensor t() const { return dim() < 2 ? *this : transpose(0, 1); }
  Tensor mT() const { return transpose(-2, -1); }
  Tensor select(int64_t axis, int64_t index) const;
  Tensor operator[](int64_t index) const { return select(0, index); }
  Tensor narrow(int64_t axis, int64_t start, int64_t length) const;
  Tensor slice(int64_t axis = 0, optional<int64_t> start = nullopt, optional<int64_t> end = nullopt,
               int64_t step = 1) const;
  Tensor expand(IntArrayRef shape) const;
  Tensor expand_as(const Tensor& other) const { return expand(other.sizes()); }
  std::vector<Tensor> unbind(int64_t axis = 0) const;
  std::vector<Tensor> split(int64_t length, int64_t axis = 0) const;
  std::vector<Tensor> chunk(int64_t count, int64_t axis = 0) const;

  Tensor contiguous(MemoryFormat = MemoryFormat::Contiguous) const {
    TORCH_CHECK(is_contiguous(),
                "contiguous() would have to copy a strided tensor: read it by its strides in the kernel");
    return *this;
  }
  Tensor detach() const { return *this; }
  Tensor alias() const { return *this; }
  Tensor cuda() const { return to(Device(kCUDA)); }
  Tensor& set_requires_grad(bool) { return *this; }
  Tensor to(ScalarType type) const {
    TORCH_CHECK(type == scalar_type(), "to(", type, ") would have to convert ", scalar_type(),
                ": convert in the kernel");
    return *this;
  }
  Tensor to(Device target) const;
  Tensor to(const TensorOptions& target) const { return to(target.dtype()).to(target.device()); }
  Tensor to(Device target, ScalarType type) const { return to(type).to(target); }

  Tensor& zero_() {
    set_bytes(0);
    return *this;
  }
  Tensor& fill_(const Scalar& value) {
    switch (scalar_type()) {
#define KERNELWRIGHT_FILL(Type, Name)            \
  case ScalarType::Name: {                       \
    const Type element = value.to<Type>();       \
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
    TORCH_CHECK(source.sizes() == sizes() && source.strides() == strides() && source.scalar_type() == scalar_type() &&
                    is_non_overlapping_and_dense(),
                "copy_ copies between dense tensors of one shape, layout and type only");
    move_bytes(data_ptr(), source.data_ptr(), nbytes());
    return *this;
  }
  Tensor clone(MemoryFormat = MemoryFormat::Preserve) const;
  Tensor new_empty(IntArrayRef sizes) const { return new_empty(sizes, options()); }
  Tensor new_empty(IntArrayRef sizes, const TensorOptions& options) const;
  Tensor new_zeros(IntArrayRef sizes) const { return new_zeros(sizes, options()); }
  Tensor new_zeros(IntArrayRef sizes, const TensorOptions& options) const;
  Scalar item() const;
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
    TORCH_CHECK(is_non_overlapping_and_dense(), "only a dense tensor can be filled");
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
    TORCH_CHECK(is_non_overlapping_and_dense(), "only a dense tensor can be filled");
    std::vector<unsigned char> stretch(std::min<size_t>(nbytes(), 4096 * width));
    for (size_t i = 0; i < stretch.size(); ++i) stretch[i] = bytes[i % width];
    move_bytes(data_ptr(), stretch.data(), stretch.size());
    for (size_t done = stretch.size(); done < nbytes(); done *= 2) {
      move_bytes(static_cast<char*>(data_ptr()) + done, data_ptr(), std::min(done, nbytes() - done));
    }
  }

  TVMFFIObjectHandle handle_ = nullptr;
};

inline Scalar Tensor::item() const {
  switch (scalar_type()) {
#define KERNELWRIGHT_ITEM(Type, Name) \
  case ScalarType::Name:              \
    return Scalar(item<Type>());
    KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_ITEM)
#undef KERNELWRIGHT_ITEM
    default:
      kernelwright::fail("item() does not know this element type");
  }
}

using TensorList = ArrayRef<Tensor>;

template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
using PackedTensorAccessor32 = PackedTensorAccessor<T, N, Traits, int32_t>;
template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits>
using PackedTensorAccessor64 = PackedTensorAccessor<T, N, Traits, int64_t>;

}  // namespace at

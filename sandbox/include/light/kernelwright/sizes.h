// IntArrayRef, Device, TensorOptions: what describes a tensor without its data.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include <kernelwright/check.h>

namespace c10 {

using std::nullopt;
using std::nullopt_t;
using std::optional;
using string_view = std::string_view;

// `for (auto i : c10::irange(n))`.
template <typename Integer>
class Range {
 public:
  struct Iterator {
    Integer value;
    Integer operator*() const { return value; }
    Iterator& operator++() {
      ++value;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return value != other.value; }
    bool operator==(const Iterator& other) const { return value == other.value; }
  };
  Range(Integer begin, Integer end) : begin_{begin}, end_{end < begin ? begin : end} {}
  Iterator begin() const { return begin_; }
  Iterator end() const { return end_; }

 private:
  Iterator begin_, end_;
};
template <typename Integer>
Range<Integer> irange(Integer end) {
  return {Integer(0), end};
}
template <typename Begin, typename End>
Range<End> irange(Begin begin, End end) {
  return {static_cast<End>(begin), end};
}

// A borrowed list of numbers, valid while what it was made from lives.
template <typename T>
class ArrayRef {
 public:
  constexpr ArrayRef() = default;
  constexpr ArrayRef(const T* data, size_t length) : data_(data), length_(length) {}
  constexpr ArrayRef(const T& one) : data_(&one), length_(1) {}
  ArrayRef(const std::vector<T>& list) : data_(list.data()), length_(list.size()) {}
  template <size_t N>
  constexpr ArrayRef(const std::array<T, N>& list) : data_(list.data()), length_(N) {}
  template <size_t N>
  constexpr ArrayRef(const T (&list)[N]) : data_(list), length_(N) {}
  constexpr ArrayRef(const std::initializer_list<T>& list)
      : data_(list.size() == 0 ? nullptr : list.begin()), length_(list.size()) {}

  constexpr const T* begin() const { return data_; }
  constexpr const T* end() const { return data_ + length_; }
  constexpr const T* data() const { return data_; }
  constexpr size_t size() const { return length_; }
  constexpr bool empty() const { return length_ == 0; }
  constexpr const T& operator[](size_t index) const { return data_[index]; }
  const T& at(size_t index) const {
    TORCH_CHECK(index < length_, "index ", index, " is outside a list of ", length_);
    return data_[index];
  }
  constexpr const T& front() const { return data_[0]; }
  constexpr const T& back() const { return data_[length_ - 1]; }
  ArrayRef slice(size_t first, size_t count) const {
    TORCH_CHECK(first + count <= length_, "the slice from ", first, " of ", count, " is outside a list of ", length_);
    return ArrayRef(data_ + first, count);
  }
  ArrayRef slice(size_t first) const { return slice(first, length_ - first); }
  std::vector<T> vec() const { return std::vector<T>(begin(), end()); }
  bool equals(ArrayRef other) const {
    if (length_ != other.length_) return false;
    for (size_t i = 0; i < length_; ++i)
      if (data_[i] != other.data_[i]) return false;
    return true;
  }

 private:
  const T* data_ = nullptr;
  size_t length_ = 0;
};

template <typename T>
bool operator==(ArrayRef<T> a, ArrayRef<T> b) {
  return a.equals(b);
}
template <typename T>
bool operator!=(ArrayRef<T> a, ArrayRef<T> b) {
  return !a.equals(b);
}

using IntArrayRef = ArrayRef<int64_t>;
using OptionalIntArrayRef = optional<IntArrayRef>;
template <typename T, unsigned N>
using SmallVector = std::vector<T>;
using DimVector = std::vector<int64_t>;

// A number of any type.
class Scalar {
 public:
  Scalar() : Scalar(int64_t(0)) {}
  template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>
  Scalar(Number value)
      : floating_(std::is_floating_point<Number>::value),
        boolean_(std::is_same<Number, bool>::value),
        real_(static_cast<double>(value)),
        integer_(static_cast<int64_t>(value)) {}
  Scalar(Half value) : Scalar(static_cast<float>(value)) {}
  Scalar(BFloat16 value) : Scalar(static_cast<float>(value)) {}
  bool isFloatingPoint() const { return floating_; }
  bool isBoolean() const { return boolean_; }
  bool isIntegral(bool include_bool) const { return !floating_ && (include_bool || !boolean_); }
  ScalarType type() const {
    return floating_ ? ScalarType::Double : boolean_ ? ScalarType::Bool : ScalarType::Long;
  }
  template <typename T>
  T to() const {
    return floating_ ? static_cast<T>(real_) : static_cast<T>(integer_);
  }
  double toDouble() const { return to<double>(); }
  float toFloat() const { return to<float>(); }
  int64_t toLong() const { return to<int64_t>(); }
  int toInt() const { return to<int>(); }
  bool toBool() const { return to<bool>(); }
  Half toHalf() const { return Half(to<float>()); }
  BFloat16 toBFloat16() const { return BFloat16(to<float>()); }

 private:
  bool floating_, boolean_;
  double real_;
  int64_t integer_;
};

enum class DeviceType : int8_t { CPU = 0, CUDA = 1 };
constexpr DeviceType kCPU = DeviceType::CPU;
constexpr DeviceType kCUDA = DeviceType::CUDA;
using DeviceIndex = int8_t;

class Device {
 public:
  Device(DeviceType type, DeviceIndex index = -1) : type_(type), index_(index) {}
  Device(const std::string& name) : type_(name.compare(0, 4, "cuda") == 0 ? kCUDA : kCPU), index_(-1) {
    if (name.size() > 5 && name[4] == ':') index_ = static_cast<DeviceIndex>(std::stoi(name.substr(5)));
  }
  Device(const char* name) : Device(std::string(name)) {}
  DeviceType type() const { return type_; }
  DeviceIndex index() const { return index_; }
  bool has_index() const { return index_ >= 0; }
  bool is_cuda() const { return type_ == kCUDA; }
  bool is_cpu() const { return type_ == kCPU; }
  std::string str() const {
    std::string name = is_cuda() ? "cuda" : "cpu";
    return has_index() ? name + ":" + std::to_string(index_) : name;
  }
  bool operator==(const Device& other) const { return type_ == other.type_ && index_ == other.index_; }
  bool operator!=(const Device& other) const { return !(*this == other); }

 private:
  DeviceType type_;
  DeviceIndex index_;
};

enum class Layout : int8_t { Strided };
constexpr Layout kStrided = Layout::Strided;
enum class MemoryFormat : int8_t { Contiguous, Preserve, ChannelsLast, ChannelsLast3d };
enum class DispatchKey : uint8_t {
  Undefined,
  CPU,
  CUDA,
  Meta,
  Autograd,
  AutogradCUDA,
  CompositeExplicitAutograd,
  CompositeImplicitAutograd,
};

struct TensorOptions {
  TensorOptions() = default;
  TensorOptions(ScalarType type) : dtype_(type) {}
  TensorOptions(Device device) : device_(device) {}
  TensorOptions(DeviceType device) : device_(Device(device)) {}
  // What `over` says, and this for the rest.
  TensorOptions merge_in(const TensorOptions& over) const {
    TensorOptions merged = *this;
    if (over.dtype_) merged.dtype_ = over.dtype_;
    if (over.device_) merged.device_ = over.device_;
    return merged;
  }

  TensorOptions dtype(ScalarType type) const {
    TensorOptions changed = *this;
    changed.dtype_ = type;
    return changed;
  }
  TensorOptions dtype(optional<ScalarType> type) const { return type ? dtype(*type) : *this; }
  template <typename T>
  TensorOptions dtype() const {
    return dtype(CppTypeToScalarType<T>::value);
  }
  TensorOptions device(Device device) const {
    TensorOptions changed = *this;
    changed.device_ = device;
    return changed;
  }
  TensorOptions device(DeviceType type, DeviceIndex index = -1) const { return device(Device(type, index)); }
  TensorOptions layout(Layout) const { return *this; }
  TensorOptions memory_format(MemoryFormat) const { return *this; }
  TensorOptions pinned_memory(bool) const { return *this; }
  // Nothing here records a graph, so this is kept only for what the source says.
  TensorOptions requires_grad(bool = true) const { return *this; }
  ScalarType dtype() const { return dtype_.value_or(ScalarType::Float); }
  Device device() const { return device_.value_or(Device(kCPU)); }

 private:
  optional<ScalarType> dtype_;
  optional<Device> device_;
};

inline TensorOptions dtype(ScalarType type) { return TensorOptions(type); }
template <typename T>
TensorOptions dtype() {
  return TensorOptions().dtype<T>();
}
inline TensorOptions device(Device device) { return TensorOptions(device); }
inline TensorOptions requires_grad(bool = true) { return TensorOptions(); }
inline ScalarType typeMetaToScalarType(ScalarType type) { return type; }

// How TORCH_CHECK spells them; found by argument-dependent lookup.
inline void append(std::string& text, Device device) { text += device.str(); }
inline void append(std::string& text, DeviceType type) { text += Device(type).str(); }
inline void append(std::string& text, const TensorOptions& options) {
  text += kernelwright::message("TensorOptions(dtype=", options.dtype(), ", device=", options.device(), ")");
}

// How streams spell them. The stream's type is deduced, so that a source which prints nothing need not parse <ostream>.
template <typename Stream>
auto operator<<(Stream& stream, ScalarType type) -> decltype(stream << "") {
  return stream << toString(type);
}
template <typename Stream>
auto operator<<(Stream& stream, DeviceType type) -> decltype(stream << "") {
  return stream << kernelwright::message(type);
}
template <typename Stream>
auto operator<<(Stream& stream, const Device& device) -> decltype(stream << "") {
  return stream << kernelwright::message(device);
}
template <typename Stream>
auto operator<<(Stream& stream, const TensorOptions& options) -> decltype(stream << "") {
  return stream << kernelwright::message(options);
}
template <typename Stream, typename T>
auto operator<<(Stream& stream, ArrayRef<T> list) -> decltype(stream << "") {
  return stream << kernelwright::message(list);
}

}  // namespace c10

namespace at {
using namespace c10;
template <typename A, typename B>
KERNELWRIGHT_HD constexpr auto ceil_div(A a, B b) {
  return (a + b - 1) / b;
}
template <typename A, typename B>
KERNELWRIGHT_HD constexpr auto round_up(A a, B b) {
  return ceil_div(a, b) * b;
}
}  // namespace at

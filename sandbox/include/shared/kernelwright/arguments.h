// From TVM FFI values, and from defaults that a schema spells, to the parameters of host functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <kernelwright/adapter.h>

namespace kernelwright {

// A value that a caller left out, as an operator's schema spells it: `1e-5`, `True`, `None`, `"mean"`, `[1, 1]`.
class Literal {
 public:
  explicit Literal(std::string text) : text_(std::move(text)) {}
  bool none() const { return text_ == "None"; }
  double number() const { return text_ == "True" ? 1 : text_ == "False" ? 0 : std::stod(text_); }
  int64_t integer() const { return text_ == "True" ? 1 : text_ == "False" ? 0 : std::stoll(text_); }
  bool floating() const { return text_.find_first_of(".einEN") != std::string::npos && text_ != "None"; }
  std::string text() const {
    return text_.size() >= 2 && (text_[0] == '"' || text_[0] == '\'') ? text_.substr(1, text_.size() - 2) : text_;
  }
  std::vector<Literal> items() const {
    std::vector<Literal> found;
    std::string item;
    for (size_t i = 1; i + 1 < text_.size(); ++i) {
      if (text_[i] == ',') {
        found.emplace_back(std::exchange(item, std::string()));
      } else if (text_[i] != ' ') {
        item += text_[i];
      }
    }
    if (!item.empty()) found.emplace_back(item);
    return found;
  }

 private:
  std::string text_;
};

// `type` is what holds the value during the call; it converts to the parameter.
template <typename T, typename = void>
struct Argument {
  static constexpr bool known = false;
  using type = std::nullopt_t;
  static type from(const TVMFFIAny&) { return std::nullopt; }
  static type from(const Literal&) { return std::nullopt; }
};

template <typename T, typename Held = T>
struct KnownArgument {
  static constexpr bool known = true;
  using type = Held;
};

template <>
struct Argument<at::Tensor> : KnownArgument<at::Tensor> {
  static at::Tensor from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFINone) return at::Tensor();
    TORCH_CHECK(value.type_index == kTVMFFITensor, "a tensor was expected");
    return tensor_of(value.v_obj);
  }
  static at::Tensor from(const Literal& literal) {
    TORCH_CHECK(literal.none(), "a tensor was expected");
    return at::Tensor();
  }
};

template <typename T>
struct Argument<T, std::enable_if_t<std::is_arithmetic<T>::value>> : KnownArgument<T> {
  static T from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFIFloat) return static_cast<T>(value.v_float64);
    TORCH_CHECK(value.type_index == kTVMFFIInt || value.type_index == kTVMFFIBool, "a number was expected");
    return static_cast<T>(value.v_int64);
  }
  static T from(const Literal& literal) {
    return std::is_floating_point<T>::value ? static_cast<T>(literal.number()) : static_cast<T>(literal.integer());
  }
};

template <>
struct Argument<std::string> : KnownArgument<std::string> {
  static std::string from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFIRawStr) return value.v_c_str;
    if (value.type_index == kTVMFFISmallStr) return std::string(value.v_bytes, value.small_str_len);
    TORCH_CHECK(value.type_index == kTVMFFIStr, "a string was expected");
    const TVMFFIByteArray* bytes = TVMFFIBytesGetByteArrayPtr(value.v_obj);
    return std::string(bytes->data, bytes->size);
  }
  static std::string from(const Literal& literal) { return literal.text(); }
};
template <>
struct Argument<c10::string_view> : Argument<std::string> {};

template <>
struct Argument<c10::Scalar> : KnownArgument<c10::Scalar> {
  static c10::Scalar from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFIFloat) return c10::Scalar(value.v_float64);
    TORCH_CHECK(value.type_index == kTVMFFIInt || value.type_index == kTVMFFIBool, "a number was expected");
    if (value.type_index == kTVMFFIBool) return c10::Scalar(value.v_int64 != 0);
    return c10::Scalar(value.v_int64);
  }
  static c10::Scalar from(const Literal& literal) {
    return literal.floating() ? c10::Scalar(literal.number()) : c10::Scalar(literal.integer());
  }
};

// PyTorch's bindings pass an element type as its number.
template <>
struct Argument<c10::ScalarType> : KnownArgument<c10::ScalarType> {
  static c10::ScalarType from(const TVMFFIAny& value) {
    TORCH_CHECK(value.type_index == kTVMFFIInt, "an element type was expected, as its number");
    return static_cast<c10::ScalarType>(value.v_int64);
  }
  static c10::ScalarType from(const Literal& literal) { return static_cast<c10::ScalarType>(literal.integer()); }
};

template <typename T>
struct Argument<std::vector<T>> {
  using Item = Argument<T>;
  static constexpr bool known = Item::known;
  using type = std::vector<typename Item::type>;
  static type from(const TVMFFIAny& value) {
    type items;
    if (value.type_index == kTVMFFIShape) {
      const TVMFFIShapeCell* cell = TVMFFIShapeGetCellPtr(value.v_obj);
      for (size_t i = 0; i < cell->size; ++i) items.push_back(Item::from(integer(cell->data[i])));
      return items;
    }
    TORCH_CHECK(value.type_index == kTVMFFIArray || value.type_index == kTVMFFIList, "a list was expected");
    const auto* object = reinterpret_cast<const char*>(value.v_obj);
    const auto* cell = reinterpret_cast<const TVMFFISeqCell*>(object + sizeof(TVMFFIObject));
    const auto* first = static_cast<const TVMFFIAny*>(cell->data);
    for (int64_t i = 0; i < cell->size; ++i) items.push_back(Item::from(first[i]));
    return items;
  }
  static type from(const Literal& literal) {
    type items;
    for (const Literal& item : literal.items()) items.push_back(Item::from(item));
    return items;
  }

 private:
  static TVMFFIAny integer(int64_t number) {
    TVMFFIAny value{};
    value.type_index = kTVMFFIInt;
    value.v_int64 = number;
    return value;
  }
};
template <typename T>
struct Argument<c10::ArrayRef<T>> : Argument<std::vector<T>> {};

template <typename T>
struct Argument<std::optional<T>> {
  using Item = Argument<T>;
  static constexpr bool known = Item::known;
  using type = std::optional<typename Item::type>;
  static type from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFINone) return std::nullopt;
    return Item::from(value);
  }
  static type from(const Literal& literal) {
    if (literal.none()) return std::nullopt;
    return Item::from(literal);
  }
};

// Sizes that a call may leave out.
class HeldSizes {
 public:
  using Held = std::optional<std::vector<int64_t>>;
  template <typename Sizes, std::enable_if_t<std::is_convertible<Sizes, Held>::value, int> = 0>
  HeldSizes(const Sizes& sizes) : sizes_(sizes) {}
  operator at::OptionalIntArrayRef() const {
    if (!sizes_.has_value()) return std::nullopt;
    return at::OptionalIntArrayRef(c10::IntArrayRef(*sizes_));
  }

 private:
  Held sizes_;
};
template <>
struct Argument<at::OptionalIntArrayRef> : KnownArgument<at::OptionalIntArrayRef, HeldSizes> {
  template <typename Value>
  static HeldSizes from(const Value& value) {
    return Argument<std::optional<std::vector<int64_t>>>::from(value);
  }
};

}  // namespace kernelwright

// From a host function's result to TVM FFI values; several tensors become an array.
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include <kernelwright/adapter.h>

namespace kernelwright {

inline TVMFFIAny any_of(const at::Tensor& tensor) {
  TVMFFIAny value{};
  value.type_index = tensor.defined() ? kTVMFFITensor : kTVMFFINone;
  value.v_obj = tensor.defined() ? static_cast<TVMFFIObject*>(handle_of(tensor)) : nullptr;
  return value;
}

// Named, because cudafe++ fails on lists of TVM FFI's unnamed structure in C++20.
struct Slot {
  TVMFFIAny any;
};

inline void give(const at::Tensor& tensor, TVMFFIAny* result) { *result = any_of(tensor); }

inline void give(const std::vector<at::Tensor>& tensors, TVMFFIAny* result) {
  static const char name[] = "ffi.Array";
  const TVMFFIByteArray key{name, sizeof name - 1};
  TVMFFIObjectHandle make = nullptr;
  check_ffi(TVMFFIFunctionGetGlobal(&key, &make));
  const Owned owned(make);
  std::vector<Slot> slots;
  for (const at::Tensor& tensor : tensors) slots.push_back({any_of(tensor)});
  static_assert(sizeof(Slot) == sizeof(TVMFFIAny), "slots are passed as an array of values");
  const int code =
      TVMFFIFunctionCall(make, reinterpret_cast<TVMFFIAny*>(slots.data()), static_cast<int32_t>(slots.size()), result);
  for (const Slot& slot : slots) Owned(static_cast<TVMFFIObjectHandle>(slot.any.v_obj));
  check_ffi(code);
}
template <size_t N>
void give(const std::array<at::Tensor, N>& tensors, TVMFFIAny* result) {
  give(std::vector<at::Tensor>(tensors.begin(), tensors.end()), result);
}
template <typename... Tensors, std::enable_if_t<(std::is_convertible<Tensors, at::Tensor>::value && ...), int> = 0>
void give(const std::tuple<Tensors...>& tensors, TVMFFIAny* result) {
  std::apply([&](const auto&... each) { give(std::vector<at::Tensor>{each...}, result); }, tensors);
}
template <typename First, typename Second, std::enable_if_t<std::is_convertible<First, at::Tensor>::value, int> = 0>
void give(const std::pair<First, Second>& tensors, TVMFFIAny* result) {
  give(std::vector<at::Tensor>{tensors.first, tensors.second}, result);
}
template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>
void give(Number number, TVMFFIAny* result) {
  if (std::is_floating_point<Number>::value) {
    result->type_index = kTVMFFIFloat;
    result->v_float64 = static_cast<double>(number);
  } else {
    result->type_index = std::is_same<Number, bool>::value ? kTVMFFIBool : kTVMFFIInt;
    result->v_int64 = static_cast<int64_t>(number);
  }
}
inline void give(const std::string& text, TVMFFIAny* result) {
  const TVMFFIByteArray bytes{text.data(), text.size()};
  check_ffi(TVMFFIStringFromByteArray(&bytes, result));
}
// Functions beside the entry may return anything, as long as nobody calls them.
struct AnyResult {
  template <typename T>
  AnyResult(const T&) {}
};
inline void give(AnyResult, TVMFFIAny*) {
  TORCH_CHECK(false, "the function returns neither tensors, nor a number, nor a string");
}

// Call with the values of a tuple and hand over what comes back.
template <typename Call, typename Values>
void call_and_give(const Call& call, Values& values, TVMFFIAny* result) {
  using Result = decltype(std::apply(call, values));
  if constexpr (std::is_void<Result>::value) {
    std::apply(call, values);
  } else {
    give(std::apply(call, values), result);
  }
}

// No exception may cross the C border.
template <typename Body>
int guarded(Body body) {
  try {
    watched(body);
    return 0;
  } catch (const c10::OutOfMemoryError& error) {
    TVMFFIErrorSetRaisedFromCStr("MemoryError", error.what_without_backtrace());
  } catch (const c10::Error& error) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", error.what_without_backtrace());
  } catch (const std::exception& error) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", error.what());
  } catch (...) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", "the host function threw something that is no std::exception");
  }
  return -1;
}

}  // namespace kernelwright

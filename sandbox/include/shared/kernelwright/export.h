// The candidate's entry as a TVM FFI function: arguments and results converted by the signature of the host function.
#pragma once

#include <array>

#include <kernelwright/tensor.h>

namespace kernelwright {

// From a TVM FFI value to a C++ argument.
template <typename T, typename = void>
struct Argument {
  static_assert(!sizeof(T*), "entry: a parameter is neither a tensor, nor a number, nor an optional of these");
  static T from(const TVMFFIAny&);
};

template <>
struct Argument<at::Tensor> {
  static at::Tensor from(const TVMFFIAny& value) {
    TORCH_CHECK(value.type_index == kTVMFFITensor, "a tensor was expected");
    return at::Tensor::share(value.v_obj);
  }
};

template <typename T>
struct Argument<T, std::enable_if_t<std::is_arithmetic<T>::value>> {
  static T from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFIFloat) return static_cast<T>(value.v_float64);
    TORCH_CHECK(value.type_index == kTVMFFIInt || value.type_index == kTVMFFIBool, "a number was expected");
    return static_cast<T>(value.v_int64);
  }
};

template <typename T>
struct Argument<std::optional<T>> {
  static std::optional<T> from(const TVMFFIAny& value) {
    if (value.type_index == kTVMFFINone) return std::nullopt;
    return Argument<T>::from(value);
  }
};

// From a C++ result to TVM FFI values; several become an array.
inline TVMFFIAny any_of(at::Tensor tensor) {
  TVMFFIAny value{};
  value.type_index = tensor.defined() ? kTVMFFITensor : kTVMFFINone;
  value.v_obj = static_cast<TVMFFIObject*>(tensor.release());
  return value;
}

inline void give(TVMFFIAny* values, size_t count, TVMFFIAny* result) {
  static const char name[] = "ffi.Array";
  const TVMFFIByteArray key{name, sizeof name - 1};
  TVMFFIObjectHandle make = nullptr;
  check_ffi(TVMFFIFunctionGetGlobal(&key, &make));
  const int code = TVMFFIFunctionCall(make, values, static_cast<int32_t>(count), result);
  for (size_t i = 0; i < count; ++i)
    if (values[i].v_obj != nullptr) TVMFFIObjectDecRef(values[i].v_obj);
  TVMFFIObjectDecRef(make);
  check_ffi(code);
}

inline void give(at::Tensor tensor, TVMFFIAny* result) { *result = any_of(std::move(tensor)); }
inline void give(const std::vector<at::Tensor>& tensors, TVMFFIAny* result) {
  std::vector<TVMFFIAny> values;
  for (const at::Tensor& tensor : tensors) values.push_back(any_of(tensor));
  give(values.data(), values.size(), result);
}
template <size_t N>
void give(const std::array<at::Tensor, N>& tensors, TVMFFIAny* result) {
  give(std::vector<at::Tensor>(tensors.begin(), tensors.end()), result);
}
template <typename... Tensors>
void give(const std::tuple<Tensors...>& tensors, TVMFFIAny* result) {
  std::apply([&](const auto&... each) { give(std::vector<at::Tensor>{each...}, result); }, tensors);
}
template <typename First, typename Second>
void give(const std::pair<First, Second>& tensors, TVMFFIAny* result) {
  give(std::vector<at::Tensor>{tensors.first, tensors.second}, result);
}

// Calls `Call::call` with as many arguments as were given; fewer than declared when the rest have defaults.
template <typename Call, typename... Parameters>
struct Invoker {
  template <size_t... I>
  static bool try_count(std::index_sequence<I...>, const TVMFFIAny* arguments, TVMFFIAny* result) {
    using All = std::tuple<std::decay_t<Parameters>...>;
    if constexpr (std::is_invocable<Call, std::tuple_element_t<I, All>&...>::value) {
      std::tuple<std::tuple_element_t<I, All>...> values{
          Argument<std::tuple_element_t<I, All>>::from(arguments[I])...};
      using Result = decltype(Call{}(std::get<I>(values)...));
      if constexpr (std::is_void<Result>::value) {
        Call{}(std::get<I>(values)...);
      } else {
        give(Call{}(std::get<I>(values)...), result);
      }
      return true;
    } else {
      (void)arguments;
      (void)result;
      return false;
    }
  }

  template <size_t... Count>
  static bool pick(std::index_sequence<Count...>, int32_t given, const TVMFFIAny* arguments, TVMFFIAny* result) {
    return ((given == static_cast<int32_t>(Count) &&
             try_count(std::make_index_sequence<Count>{}, arguments, result)) ||
            ...);
  }

  static void run(const char* name, const TVMFFIAny* arguments, int32_t given, TVMFFIAny* result) {
    constexpr size_t declared = sizeof...(Parameters);
    if (!pick(std::make_index_sequence<declared + 1>{}, given, arguments, result))
      fail(message(name, " takes ", declared, " arguments, ", given, " were given"));
  }
};

template <typename Call, typename Result, typename... Parameters>
void invoke(Result (*)(Parameters...), const char* name, const TVMFFIAny* arguments, int32_t given,
            TVMFFIAny* result) {
  Invoker<Call, Parameters...>::run(name, arguments, given, result);
}

// No exception may cross the C border.
template <typename Body>
int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const c10::OutOfMemoryError& error) {
    TVMFFIErrorSetRaisedFromCStr("MemoryError", error.what());
  } catch (const std::exception& error) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", error.what());
  } catch (...) {
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", "the host function threw something that is no std::exception");
  }
  return -1;
}

}  // namespace kernelwright

#define KERNELWRIGHT_EXPORT(entry)                                                                            \
  namespace {                                                                                                 \
  struct KernelwrightCall {                                                                                   \
    template <typename... Values>                                                                             \
    auto operator()(Values&... values) const -> decltype(::entry(values...)) {                                \
      return ::entry(values...);                                                                              \
    }                                                                                                         \
  };                                                                                                          \
  }                                                                                                           \
  extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_##entry(void*, const TVMFFIAny* arguments, int32_t given,       \
                                                      TVMFFIAny* result) {                                    \
    return ::kernelwright::guarded([&] {                                                                      \
      ::kernelwright::invoke<KernelwrightCall>(&::entry, #entry, arguments, given, result);                   \
    });                                                                                                       \
  }

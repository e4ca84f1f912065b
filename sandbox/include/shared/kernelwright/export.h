// The candidate's entry as a TVM FFI function: arguments and results converted by the signature of the host function.
#pragma once

#include <kernelwright/arguments.h>
#include <kernelwright/results.h>

namespace kernelwright {

// Calls `Call` with as many arguments as were given; fewer than declared when the rest have defaults.
template <typename Call, typename... Parameters>
struct Invoker {
  static_assert((Argument<std::decay_t<Parameters>>::known && ...),
                "entry: a parameter is neither a tensor, nor a number, nor a string, nor a list or an optional"
                " of these");

  template <size_t... I>
  static bool try_count(std::index_sequence<I...>, const TVMFFIAny* arguments, TVMFFIAny* result) {
    using All = std::tuple<Argument<std::decay_t<Parameters>>...>;
    if constexpr (std::is_invocable<Call, typename std::tuple_element_t<I, All>::type&...>::value) {
      std::tuple<typename std::tuple_element_t<I, All>::type...> values{
          std::tuple_element_t<I, All>::from(arguments[I])...};
      call_and_give(Call{}, values, result);
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
    TORCH_CHECK(pick(std::make_index_sequence<declared + 1>{}, given, arguments, result), name, " takes ", declared,
                " arguments, ", given, " were given");
  }
};

template <typename Call, typename Result, typename... Parameters>
void invoke(Result (*)(Parameters...), const char* name, const TVMFFIAny* arguments, int32_t given,
            TVMFFIAny* result) {
  Invoker<Call, Parameters...>::run(name, arguments, given, result);
}

}  // namespace kernelwright

#define KERNELWRIGHT_EXPORT(entry) KERNELWRIGHT_EXPORT_AS(entry, ::entry)

// Export `function` under the name `entry`.
#define KERNELWRIGHT_EXPORT_AS(entry, function)                                                               \
  namespace {                                                                                                 \
  struct KernelwrightCall_##entry {                                                                           \
    template <typename... Values>                                                                             \
    auto operator()(Values&... values) const -> decltype(function(values...)) {                               \
      return function(values...);                                                                             \
    }                                                                                                         \
  };                                                                                                          \
  }                                                                                                           \
  extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_##entry(void*, const TVMFFIAny* arguments, int32_t given,       \
                                                      TVMFFIAny* result) {                                    \
    return ::kernelwright::guarded([&] {                                                                      \
      ::kernelwright::invoke<KernelwrightCall_##entry>(&function, #entry, arguments, given, result);          \
    });                                                                                                       \
  }

// PYBIND11_MODULE without Python: `m.def` enters a host function in a table, from which the entry is called.
#pragma once

#include <kernelwright/export.h>

namespace kernelwright {

using Erased = void (*)();
using Thunk = void (*)(Erased, const char*, const TVMFFIAny*, int32_t, TVMFFIAny*);

struct Binding {
  std::string name;
  Erased function;
  Thunk thunk;
};

inline std::vector<Binding>& bindings() {
  static std::vector<Binding> table;
  return table;
}

template <typename Result, typename... Parameters, size_t... I>
void call_bound(Result (*function)(Parameters...), std::index_sequence<I...>, const TVMFFIAny* arguments,
                TVMFFIAny* result) {
  (void)arguments;
  std::tuple<std::decay_t<Parameters>...> values{Argument<std::decay_t<Parameters>>::from(arguments[I])...};
  if constexpr (std::is_void<Result>::value) {
    function(std::get<I>(values)...);
  } else {
    give(function(std::get<I>(values)...), result);
  }
}

template <typename Result, typename... Parameters>
void bound_thunk(Erased erased, const char* name, const TVMFFIAny* arguments, int32_t given, TVMFFIAny* result) {
  constexpr size_t declared = sizeof...(Parameters);
  if (given != static_cast<int32_t>(declared))
    fail(message(name, " takes ", declared, " arguments, ", given, " were given"));
  call_bound(reinterpret_cast<Result (*)(Parameters...)>(erased), std::make_index_sequence<declared>{}, arguments,
             result);
}

inline void call_binding(const char* name, const TVMFFIAny* arguments, int32_t given, TVMFFIAny* result) {
  for (const Binding& binding : bindings())
    if (binding.name == name) return binding.thunk(binding.function, name, arguments, given, result);
  fail(message("PYBIND11_MODULE defines no function named ", name));
}

}  // namespace kernelwright

namespace pybind11 {

struct arg {
  explicit arg(const char*) {}
  template <typename T>
  arg& operator=(T&&) {
    return *this;
  }
};

inline namespace literals {
inline arg operator""_a(const char* name, size_t) { return arg(name); }
}  // namespace literals

class module_ {
 public:
  template <typename Result, typename... Parameters, typename... Extra>
  module_& def(const char* name, Result (*function)(Parameters...), const Extra&...) {
    ::kernelwright::bindings().push_back({name, reinterpret_cast<::kernelwright::Erased>(function),
                                          &::kernelwright::bound_thunk<Result, Parameters...>});
    return *this;
  }
  template <typename Lambda, typename... Extra>
  auto def(const char* name, Lambda lambda, const Extra&... extra) -> decltype(+lambda, *this) {
    return def(name, +lambda, extra...);
  }
  const char*& doc() { return doc_; }

 private:
  const char* doc_ = "";
};
using module = module_;

}  // namespace pybind11
namespace py = pybind11;

#ifndef TORCH_EXTENSION_NAME
#define TORCH_EXTENSION_NAME kernelwright_extension
#endif

#define PYBIND11_MODULE(name, variable)                         \
  static void kernelwright_bind(::pybind11::module_& variable); \
  static const bool kernelwright_bound = [] {                   \
    ::pybind11::module_ module;                                 \
    kernelwright_bind(module);                                  \
    return true;                                                \
  }();                                                          \
  static void kernelwright_bind(::pybind11::module_& variable)

#define KERNELWRIGHT_EXPORT_BINDING(entry)                                                                    \
  extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_##entry(void*, const TVMFFIAny* arguments, int32_t given,       \
                                                      TVMFFIAny* result) {                                    \
    return ::kernelwright::guarded([&] { ::kernelwright::call_binding(#entry, arguments, given, result); });  \
  }

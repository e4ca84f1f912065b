// The functions that a source binds, by name: PYBIND11_MODULE and TORCH_LIBRARY enter them, the entry is one of them.
#pragma once

#include <memory>

#include <kernelwright/arguments.h>
#include <kernelwright/results.h>

namespace kernelwright {

// Values of parameters that a caller may leave out, already of the parameter's type; null where there is none.
using Defaults = std::vector<std::shared_ptr<void>>;
using Erased = void (*)();
using Thunk = void (*)(Erased, const Defaults&, const std::string& name, const TVMFFIAny*, int32_t, TVMFFIAny*);

struct Binding {
  std::string name;
  Erased function;
  Thunk thunk;
  Defaults defaults;
};

inline std::vector<Binding>& bindings() {
  static std::vector<Binding> table;
  return table;
}

// An operator's schema says the defaults: `scale(Tensor x, float factor=2.0) -> Tensor`.
struct Schema {
  std::string name;
  std::vector<std::string> defaults;  // empty where there is none
};

inline std::vector<Schema>& schemas() {
  static std::vector<Schema> table;
  return table;
}

template <typename Parameter>
typename Argument<Parameter>::type value_at(size_t index, const std::string& name, const Defaults& defaults,
                                            const TVMFFIAny* arguments, int32_t given) {
  using Held = typename Argument<Parameter>::type;
  TORCH_CHECK(Argument<Parameter>::known, name, ": parameter ", index,
              " is neither a tensor, nor a number, nor a string, nor a list or an optional of these");
  if (index < static_cast<size_t>(given)) return Argument<Parameter>::from(arguments[index]);
  if (index < defaults.size() && defaults[index] != nullptr) return *static_cast<const Held*>(defaults[index].get());
  for (const Schema& schema : schemas())
    if (schema.name == name && index < schema.defaults.size() && !schema.defaults[index].empty())
      return Argument<Parameter>::from(Literal(schema.defaults[index]));
  TORCH_CHECK(false, name, ": argument ", index, " is missing and has no default: ", given,
              " tensors are passed, and a task's scalars are written into the source or given as defaults by py::arg");
}

template <typename Result, typename... Parameters>
struct Bound {
  using Function = Result (*)(Parameters...);
  static constexpr bool callable =
      std::is_invocable<Function, typename Argument<std::decay_t<Parameters>>::type&...>::value;

  template <size_t... I>
  static void call(Function function, std::index_sequence<I...>, const std::string& name, const Defaults& defaults,
                   const TVMFFIAny* arguments, int32_t given, TVMFFIAny* result) {
    (void)arguments;
    std::tuple<typename Argument<std::decay_t<Parameters>>::type...> values{
        value_at<std::decay_t<Parameters>>(I, name, defaults, arguments, given)...};
    call_and_give(function, values, result);
  }

  static void thunk(Erased erased, const Defaults& defaults, const std::string& name, const TVMFFIAny* arguments,
                    int32_t given, TVMFFIAny* result) {
    constexpr size_t declared = sizeof...(Parameters);
    TORCH_CHECK(given <= static_cast<int32_t>(declared), name, " takes ", declared, " arguments, ", given,
                " were given");
    if constexpr (callable) {
      call(reinterpret_cast<Function>(erased), std::make_index_sequence<declared>{}, name, defaults, arguments, given,
           result);
    } else {
      TORCH_CHECK(false, name, " has a parameter that is neither a tensor, nor a number, nor a string, nor a list or"
                  " an optional of these");
    }
  }
};

template <typename Result, typename... Parameters>
void bind(std::string name, Result (*function)(Parameters...), Defaults defaults = {}) {
  bindings().push_back({std::move(name), reinterpret_cast<Erased>(function), &Bound<Result, Parameters...>::thunk,
                        std::move(defaults)});
}
template <typename Lambda>
auto bind(std::string name, Lambda lambda, Defaults defaults = {}) -> decltype(+lambda, void()) {
  bind(std::move(name), +lambda, std::move(defaults));
}

inline void call_binding(const char* name, const TVMFFIAny* arguments, int32_t given, TVMFFIAny* result) {
  for (const Binding& binding : bindings())
    if (binding.name == name)
      return binding.thunk(binding.function, binding.defaults, binding.name, arguments, given, result);
  TORCH_CHECK(false, "the source binds no function named ", name);
}

}  // namespace kernelwright

#define KERNELWRIGHT_EXPORT_BINDING(entry)                                                                    \
  extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_##entry(void*, const TVMFFIAny* arguments, int32_t given,       \
                                                      TVMFFIAny* result) {                                    \
    return ::kernelwright::guarded([&] { ::kernelwright::call_binding(#entry, arguments, given, result); });  \
  }

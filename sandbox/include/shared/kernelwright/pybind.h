// PYBIND11_MODULE without Python: `m.def` enters a host function in the table of bindings.
#pragma once

#include <kernelwright/bindings.h>

namespace pybind11 {

struct none {
  template <typename T>
  operator std::optional<T>() const {
    return std::nullopt;
  }
  operator at::Tensor() const { return at::Tensor(); }
};

// A parameter with its default, as `py::arg("x") = value` makes it.
template <typename T>
struct arg_v {
  T value;
};

struct arg {
  explicit constexpr arg(const char*) {}
  template <typename T>
  arg_v<std::decay_t<T>> operator=(T&& value) const {
    return {std::forward<T>(value)};
  }
  arg& noconvert(bool = true) { return *this; }
  arg& none(bool = true) { return *this; }
};

inline namespace literals {
inline arg operator""_a(const char* name, size_t) { return arg(name); }
}  // namespace literals

class gil_scoped_release {};
class gil_scoped_acquire {};
template <typename... Guards>
struct call_guard {};

class module_ {
 public:
  template <typename Result, typename... Parameters, typename... Extra>
  module_& def(const char* name, Result (*function)(Parameters...), const Extra&... extra) {
    ::kernelwright::bind(name, function, Collector<Parameters...>::collect(extra...));
    return *this;
  }
  template <typename Lambda, typename... Extra>
  auto def(const char* name, Lambda lambda, const Extra&... extra) -> decltype(+lambda, *this) {
    return def(name, +lambda, extra...);
  }
  const char*& doc() { return doc_; }
  std::string& attr(const char*) { return attribute_; }

 private:
  template <typename... Parameters>
  struct Collector {
    template <typename... Extra>
    static ::kernelwright::Defaults collect(const Extra&... extra) {
      ::kernelwright::Defaults defaults;
      (add(defaults, extra), ...);
      return defaults;
    }
    static void add(::kernelwright::Defaults& defaults, const arg&) { defaults.push_back(nullptr); }
    template <typename T>
    static void add(::kernelwright::Defaults& defaults, const arg_v<T>& given) {
      defaults.push_back(nullptr);
      keep(defaults, given.value, std::index_sequence_for<Parameters...>{});
    }
    template <typename Other>
    static void add(::kernelwright::Defaults&, const Other&) {}  // a docstring, a guard

    template <typename T, size_t... I>
    static void keep(::kernelwright::Defaults& defaults, const T& value, std::index_sequence<I...>) {
      (keep_as<typename ::kernelwright::Argument<std::decay_t<Parameters>>::type>(defaults, I, value), ...);
    }
    template <typename Held, typename T>
    static void keep_as(::kernelwright::Defaults& defaults, size_t index, const T& value) {
      if (index + 1 != defaults.size()) return;
      // A default that does not convert is none: this runs while the library is loaded, where nobody could be told.
      if constexpr (std::is_convertible<const T&, Held>::value) defaults.back() = std::make_shared<Held>(value);
    }
  };

  const char* doc_ = "";
  std::string attribute_;
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

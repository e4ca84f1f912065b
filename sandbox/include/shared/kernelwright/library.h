// TORCH_LIBRARY without PyTorch's dispatcher: operators that run on the device enter the table of bindings.
#pragma once

#include <kernelwright/bindings.h>

namespace kernelwright {

// `name` of `space::name.overload(...) -> ...`.
inline std::string operator_name(const std::string& text) {
  const std::string head = text.substr(0, text.find('('));
  const size_t space = head.rfind("::");
  const std::string name = space == std::string::npos ? head : head.substr(space + 2);
  return name.substr(0, name.find('.'));
}

// The defaults of a schema's parameters; commas within brackets and strings part nothing.
inline std::vector<std::string> schema_defaults(const std::string& text) {
  std::vector<std::string> defaults;
  std::string parameter;
  int depth = 0;
  char quote = 0;
  for (size_t i = text.find('(') + 1; i < text.size() && depth >= 0; ++i) {
    const char letter = text[i];
    quote = quote == 0 ? (letter == '"' || letter == '\'' ? letter : 0) : (letter == quote ? 0 : quote);
    depth += quote != 0 ? 0 : (letter == '[' || letter == '(') - (letter == ']' || letter == ')');
    if (depth >= 0 && (letter != ',' || depth > 0 || quote != 0)) {
      parameter += letter;
      continue;
    }
    const size_t equals = parameter.find('=');
    const bool keyword_marker = parameter.find_first_not_of(" *") == std::string::npos;
    if (!keyword_marker) defaults.push_back(equals == std::string::npos ? "" : parameter.substr(equals + 1));
    parameter.clear();
  }
  return defaults;
}

inline bool on_device(c10::DeviceType type) { return type == c10::DeviceType::CUDA; }
inline bool on_device(c10::DispatchKey key) {
  return key == c10::DispatchKey::CUDA || key == c10::DispatchKey::CompositeImplicitAutograd ||
         key == c10::DispatchKey::CompositeExplicitAutograd;
}

// A kernel and whether it is for the device, as `torch::dispatch` makes it.
template <typename Function>
struct OnKey {
  Function function;
  bool device;
};

class Library {
 public:
  // `device`: whether kernels that are registered without a key of their own run on the GPU.
  explicit Library(bool device) : device_(device) {}

  Library& def(const char* schema) {
    if (std::string(schema).find('(') != std::string::npos)
      schemas().push_back({operator_name(schema), schema_defaults(schema)});
    return *this;
  }
  template <typename Function>
  auto def(const char* schema, Function function) -> decltype(bind("", function), *this) {
    def(schema);
    return impl(schema, function);
  }
  template <typename Function>
  Library& def(const char* schema, OnKey<Function> keyed) {
    def(schema);
    return impl(schema, keyed);
  }
  template <typename Function>
  auto impl(const char* name, Function function) -> decltype(bind("", function), *this) {
    if (device_) bind(operator_name(name), function);
    return *this;
  }
  template <typename Function>
  Library& impl(const char* name, OnKey<Function> keyed) {
    if (keyed.device) bind(operator_name(name), keyed.function);
    return *this;
  }
  template <typename Key, typename Function>
  auto impl(const char* name, Key key, Function function) -> decltype(on_device(key), *this) {
    if (on_device(key)) bind(operator_name(name), function);
    return *this;
  }

 private:
  bool device_;
};

// Names of the keys that TORCH_LIBRARY_IMPL may be given; a kernel for the CPU or for autograd is no entry.
inline bool is_device_key(const char* key) {
  const std::string name(key);
  return name == "CUDA" || name == "CompositeImplicitAutograd" || name == "CompositeExplicitAutograd" ||
         name == "CatchAll";
}

}  // namespace kernelwright

#ifdef TORCH_LIBRARY
#undef TORCH_LIBRARY
#undef TORCH_LIBRARY_FRAGMENT
#undef TORCH_LIBRARY_IMPL
#undef TORCH_FN
#endif
#define TORCH_FN(function) &function

#define KERNELWRIGHT_LIBRARY_(number, on_device, variable)                        \
  static void kernelwright_library_##number(::kernelwright::Library& variable);   \
  static const bool kernelwright_library_bound_##number = [] {                    \
    ::kernelwright::Library library(on_device);                                   \
    kernelwright_library_##number(library);                                       \
    return true;                                                                  \
  }();                                                                            \
  static void kernelwright_library_##number(::kernelwright::Library& variable)
#define KERNELWRIGHT_LIBRARY(number, on_device, variable) KERNELWRIGHT_LIBRARY_(number, on_device, variable)
#define TORCH_LIBRARY(space, variable) KERNELWRIGHT_LIBRARY(__COUNTER__, true, variable)
#define TORCH_LIBRARY_FRAGMENT(space, variable) KERNELWRIGHT_LIBRARY(__COUNTER__, true, variable)
#define TORCH_LIBRARY_IMPL(space, key, variable) \
  KERNELWRIGHT_LIBRARY(__COUNTER__, ::kernelwright::is_device_key(#key), variable)

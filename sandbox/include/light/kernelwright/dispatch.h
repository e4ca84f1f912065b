// AT_DISPATCH_*: run a generic lambda with `scalar_t` bound to a tensor's element type.
#pragma once

#include <kernelwright/tensor.h>

namespace kernelwright {

using c10::BFloat16;
using c10::Half;

template <c10::ScalarType>
struct CppType;
#define KERNELWRIGHT_CPP_TYPE(Type, Name) \
  template <>                             \
  struct CppType<c10::ScalarType::Name> { \
    using type = Type;                    \
  };
KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_CPP_TYPE)
#undef KERNELWRIGHT_CPP_TYPE
template <c10::ScalarType type>
using cpp_type = typename CppType<type>::type;

}  // namespace kernelwright

#define AT_DISPATCH_CASE(type, ...)                                                      \
  case type: {                                                                           \
    using scalar_t [[maybe_unused]] = ::kernelwright::cpp_type<type>;                    \
    return __VA_ARGS__();                                                                \
  }
#define AT_DISPATCH_SWITCH(type, name, ...)                                              \
  [&] {                                                                                  \
    const ::c10::ScalarType kernelwright_type = (type);                                  \
    switch (kernelwright_type) {                                                         \
      __VA_ARGS__                                                                        \
      default:                                                                           \
        ::kernelwright::fail(::kernelwright::message('"', name, "\" not implemented for '", \
                                                     kernelwright_type, "'"));           \
    }                                                                                    \
  }()

#define AT_DISPATCH_CASE_FLOATING_TYPES(...)            \
  AT_DISPATCH_CASE(::c10::ScalarType::Double, __VA_ARGS__) \
  AT_DISPATCH_CASE(::c10::ScalarType::Float, __VA_ARGS__)
#define AT_DISPATCH_CASE_REDUCED_FLOATING_TYPES(...)  \
  AT_DISPATCH_CASE(::c10::ScalarType::Half, __VA_ARGS__) \
  AT_DISPATCH_CASE(::c10::ScalarType::BFloat16, __VA_ARGS__)
#define AT_DISPATCH_CASE_INTEGRAL_TYPES(...)           \
  AT_DISPATCH_CASE(::c10::ScalarType::Byte, __VA_ARGS__)  \
  AT_DISPATCH_CASE(::c10::ScalarType::Char, __VA_ARGS__)  \
  AT_DISPATCH_CASE(::c10::ScalarType::Short, __VA_ARGS__) \
  AT_DISPATCH_CASE(::c10::ScalarType::Int, __VA_ARGS__)   \
  AT_DISPATCH_CASE(::c10::ScalarType::Long, __VA_ARGS__)
#define AT_DISPATCH_CASE_ALL_TYPES(...)        \
  AT_DISPATCH_CASE_INTEGRAL_TYPES(__VA_ARGS__) \
  AT_DISPATCH_CASE_FLOATING_TYPES(__VA_ARGS__)

#define AT_DISPATCH_FLOATING_TYPES(type, name, ...) \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_FLOATING_TYPES(__VA_ARGS__))
#define AT_DISPATCH_FLOATING_TYPES_AND_HALF(type, name, ...) \
  AT_DISPATCH_FLOATING_TYPES_AND(::c10::ScalarType::Half, type, name, __VA_ARGS__)
#define AT_DISPATCH_FLOATING_TYPES_AND(extra, type, name, ...)                \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_FLOATING_TYPES(__VA_ARGS__) \
                                     AT_DISPATCH_CASE(extra, __VA_ARGS__))
#define AT_DISPATCH_FLOATING_TYPES_AND2(extra, other, type, name, ...)        \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_FLOATING_TYPES(__VA_ARGS__) \
                                     AT_DISPATCH_CASE(extra, __VA_ARGS__) AT_DISPATCH_CASE(other, __VA_ARGS__))
#define AT_DISPATCH_REDUCED_FLOATING_TYPES(type, name, ...) \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_REDUCED_FLOATING_TYPES(__VA_ARGS__))
#define AT_DISPATCH_INTEGRAL_TYPES(type, name, ...) \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_INTEGRAL_TYPES(__VA_ARGS__))
#define AT_DISPATCH_ALL_TYPES(type, name, ...) \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_ALL_TYPES(__VA_ARGS__))
#define AT_DISPATCH_ALL_TYPES_AND(extra, type, name, ...) \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_ALL_TYPES(__VA_ARGS__) AT_DISPATCH_CASE(extra, __VA_ARGS__))
#define AT_DISPATCH_ALL_TYPES_AND2(extra, other, type, name, ...)        \
  AT_DISPATCH_SWITCH(type, name, AT_DISPATCH_CASE_ALL_TYPES(__VA_ARGS__) \
                                     AT_DISPATCH_CASE(extra, __VA_ARGS__) AT_DISPATCH_CASE(other, __VA_ARGS__))

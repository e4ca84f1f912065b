// Element types: ScalarType, Half, BFloat16 and what maps C++ types to them.
//
// Half and BFloat16 convert without cuda_fp16.h, whose parsing would cost every candidate a third of a second.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <cuda_runtime.h>
#include <dlpack/dlpack.h>

#define KERNELWRIGHT_HD __host__ __device__ __forceinline__

namespace c10 {

enum class ScalarType : int8_t {
  Byte = 0,
  Char = 1,
  Short = 2,
  Int = 3,
  Long = 4,
  Half = 5,
  Float = 6,
  Double = 7,
  Bool = 11,
  BFloat16 = 15,
  Undefined = 45,
};

template <typename Other>
constexpr bool is_two_byte_float = sizeof(Other) == 2 && std::is_class<Other>::value;

// IEEE binary16. Converts to and from float, and bit for bit to and from CUDA's __half.
struct alignas(2) Half {
  uint16_t x;

  Half() = default;
  template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>
  KERNELWRIGHT_HD Half(Number value) : x(bits_of(static_cast<float>(value))) {}
  template <typename Other, std::enable_if_t<is_two_byte_float<Other>, int> = 0>
  KERNELWRIGHT_HD Half(const Other& other) : x(reinterpret_cast<const uint16_t&>(other)) {}

  KERNELWRIGHT_HD operator float() const { return value_of(x); }
  template <typename Other, std::enable_if_t<is_two_byte_float<Other>, int> = 0>
  KERNELWRIGHT_HD operator Other() const {
    return reinterpret_cast<const Other&>(*this);
  }

  KERNELWRIGHT_HD static float value_of(uint16_t bits) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7fffu;
    uint32_t word;
    if (magnitude >= 0x7c00u) {
      word = 0x7f800000u | (magnitude & 0x3ffu) << 13;
    } else {
      // Scaling by a power of two is exact and turns subnormals into normal numbers.
      const uint32_t shifted = magnitude << 13;
      float scaled;
      std::memcpy(&scaled, &shifted, sizeof scaled);
      scaled *= 0x1p112f;
      std::memcpy(&word, &scaled, sizeof word);
    }
    word |= sign;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
#endif
  }

  KERNELWRIGHT_HD static uint16_t bits_of(float value) {
#ifdef __CUDA_ARCH__
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    const uint16_t sign = static_cast<uint16_t>(word >> 16 & 0x8000u);
    const uint32_t magnitude = word & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // not a number
    if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds past 65504
    if (magnitude < 0x38800000u) {                        // subnormal: let a float addition round
      float sum;
      std::memcpy(&sum, &magnitude, sizeof sum);
      sum += 0.5f;
      std::memcpy(&word, &sum, sizeof word);
      return sign | static_cast<uint16_t>(word - 0x3f000000u);
    }
    return sign | static_cast<uint16_t>((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
#endif
  }
};

// The upper half of a binary32, rounded to nearest even.
struct alignas(2) BFloat16 {
  uint16_t x;

  BFloat16() = default;
  template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>
  KERNELWRIGHT_HD BFloat16(Number value) : x(bits_of(static_cast<float>(value))) {}
  template <typename Other, std::enable_if_t<is_two_byte_float<Other>, int> = 0>
  KERNELWRIGHT_HD BFloat16(const Other& other) : x(reinterpret_cast<const uint16_t&>(other)) {}

  KERNELWRIGHT_HD operator float() const {
    const uint32_t word = static_cast<uint32_t>(x) << 16;
    return reinterpret_cast<const float&>(word);
  }
  template <typename Other, std::enable_if_t<is_two_byte_float<Other>, int> = 0>
  KERNELWRIGHT_HD explicit operator Other() const {
    return reinterpret_cast<const Other&>(*this);
  }

  KERNELWRIGHT_HD static uint16_t bits_of(float value) {
    const uint32_t word = reinterpret_cast<const uint32_t&>(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
    return static_cast<uint16_t>((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
  }
};

// With a number, a floating one decides the result's type and an integer does not, as in PyTorch.
template <typename Type, typename Number>
using MixedResult = std::enable_if_t<std::is_arithmetic<Number>::value,
                                     std::conditional_t<std::is_floating_point<Number>::value, Number, Type>>;

#define KERNELWRIGHT_FLOAT_OPERATOR(Type, op)                                             \
  KERNELWRIGHT_HD Type operator op(Type a, Type b) { return Type(float(a) op float(b)); } \
  KERNELWRIGHT_HD Type& operator op##=(Type& a, Type b) { return a = a op b; }            \
  KERNELWRIGHT_HD float& operator op##=(float& a, Type b) { return a op##= float(b); }   \
  template <typename Number>                                                              \
  KERNELWRIGHT_HD MixedResult<Type, Number> operator op(Type a, Number b) {               \
    return MixedResult<Type, Number>(float(a) op b);                                      \
  }                                                                                       \
  template <typename Number>                                                              \
  KERNELWRIGHT_HD MixedResult<Type, Number> operator op(Number a, Type b) {               \
    return MixedResult<Type, Number>(a op float(b));                                      \
  }
// Spelled out, because CUDA's own 16-bit types would be candidates otherwise.
#define KERNELWRIGHT_COMPARISON(Type, op)                                                             \
  KERNELWRIGHT_HD bool operator op(Type a, Type b) { return float(a) op float(b); }                   \
  template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>            \
  KERNELWRIGHT_HD bool operator op(Type a, Number b) {                                                \
    return float(a) op b;                                                                             \
  }                                                                                                   \
  template <typename Number, std::enable_if_t<std::is_arithmetic<Number>::value, int> = 0>            \
  KERNELWRIGHT_HD bool operator op(Number a, Type b) {                                                \
    return a op float(b);                                                                             \
  }
#define KERNELWRIGHT_FLOAT_OPERATORS(Type) \
  KERNELWRIGHT_FLOAT_OPERATOR(Type, +)     \
  KERNELWRIGHT_FLOAT_OPERATOR(Type, -)     \
  KERNELWRIGHT_FLOAT_OPERATOR(Type, *)     \
  KERNELWRIGHT_FLOAT_OPERATOR(Type, /)     \
  KERNELWRIGHT_COMPARISON(Type, <)         \
  KERNELWRIGHT_COMPARISON(Type, <=)        \
  KERNELWRIGHT_COMPARISON(Type, >)         \
  KERNELWRIGHT_COMPARISON(Type, >=)        \
  KERNELWRIGHT_COMPARISON(Type, ==)        \
  KERNELWRIGHT_COMPARISON(Type, !=)        \
  KERNELWRIGHT_HD Type operator-(Type a) { return Type(-float(a)); }

KERNELWRIGHT_FLOAT_OPERATORS(Half)
KERNELWRIGHT_FLOAT_OPERATORS(BFloat16)
#undef KERNELWRIGHT_FLOAT_OPERATORS
#undef KERNELWRIGHT_FLOAT_OPERATOR
#undef KERNELWRIGHT_COMPARISON

// Found by argument-dependent lookup, beside CUDA's own for its types.
__device__ __forceinline__ Half __ldg(const Half* pointer) {
  Half value;
  value.x = ::__ldg(reinterpret_cast<const unsigned short*>(pointer));
  return value;
}
__device__ __forceinline__ BFloat16 __ldg(const BFloat16* pointer) {
  BFloat16 value;
  value.x = ::__ldg(reinterpret_cast<const unsigned short*>(pointer));
  return value;
}

// C++ type to ScalarType. CUDA's own __half and __nv_bfloat16 are told apart by the user's spelling
// `data_ptr<__half>()`, which is why any two-byte class stands for either 16-bit type.
template <typename T>
struct CppTypeToScalarType {
  static constexpr ScalarType value = ScalarType::Undefined;
};

#define KERNELWRIGHT_FOR_EACH_TYPE(_) \
  _(uint8_t, Byte)                    \
  _(int8_t, Char)                     \
  _(int16_t, Short)                   \
  _(int32_t, Int)                     \
  _(int64_t, Long)                    \
  _(Half, Half)                       \
  _(float, Float)                     \
  _(double, Double)                   \
  _(bool, Bool)                       \
  _(BFloat16, BFloat16)

#define KERNELWRIGHT_MAP(Type, Name)                          \
  template <>                                                 \
  struct CppTypeToScalarType<Type> {                          \
    static constexpr ScalarType value = ScalarType::Name;     \
  };
KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_MAP)
#undef KERNELWRIGHT_MAP
template <>
struct CppTypeToScalarType<long long> : CppTypeToScalarType<int64_t> {};

inline const char* toString(ScalarType type) {
  switch (type) {
#define KERNELWRIGHT_NAME(Type, Name) \
  case ScalarType::Name:              \
    return #Name;
    KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_NAME)
#undef KERNELWRIGHT_NAME
    default:
      return "Undefined";
  }
}

inline size_t elementSize(ScalarType type) {
  switch (type) {
#define KERNELWRIGHT_SIZE(Type, Name) \
  case ScalarType::Name:              \
    return sizeof(Type);
    KERNELWRIGHT_FOR_EACH_TYPE(KERNELWRIGHT_SIZE)
#undef KERNELWRIGHT_SIZE
    default:
      return 0;
  }
}

inline bool isFloatingType(ScalarType type) {
  return type == ScalarType::Half || type == ScalarType::Float || type == ScalarType::Double ||
         type == ScalarType::BFloat16;
}

inline bool isIntegralType(ScalarType type, bool include_bool) {
  return (include_bool && type == ScalarType::Bool) || (type != ScalarType::Bool && !isFloatingType(type) &&
                                                        type != ScalarType::Undefined);
}

constexpr ScalarType kByte = ScalarType::Byte, kUInt8 = ScalarType::Byte;
constexpr ScalarType kChar = ScalarType::Char, kInt8 = ScalarType::Char;
constexpr ScalarType kShort = ScalarType::Short, kInt16 = ScalarType::Short;
constexpr ScalarType kInt = ScalarType::Int, kInt32 = ScalarType::Int;
constexpr ScalarType kLong = ScalarType::Long, kInt64 = ScalarType::Long;
constexpr ScalarType kHalf = ScalarType::Half, kFloat16 = ScalarType::Half;
constexpr ScalarType kFloat = ScalarType::Float, kFloat32 = ScalarType::Float;
constexpr ScalarType kDouble = ScalarType::Double, kFloat64 = ScalarType::Double;
constexpr ScalarType kBool = ScalarType::Bool;
constexpr ScalarType kBFloat16 = ScalarType::BFloat16;

}  // namespace c10

namespace kernelwright {

inline DLDataType to_dlpack(c10::ScalarType type) {
  using c10::ScalarType;
  const uint8_t bits = static_cast<uint8_t>(8 * c10::elementSize(type));
  switch (type) {
    case ScalarType::Byte:
      return {kDLUInt, bits, 1};
    case ScalarType::Half:
    case ScalarType::Float:
    case ScalarType::Double:
      return {kDLFloat, bits, 1};
    case ScalarType::BFloat16:
      return {kDLBfloat, bits, 1};
    case ScalarType::Bool:
      return {kDLBool, bits, 1};
    default:
      return {kDLInt, bits, 1};
  }
}

inline c10::ScalarType from_dlpack(DLDataType type) {
  using c10::ScalarType;
  if (type.lanes != 1) return ScalarType::Undefined;
  for (ScalarType candidate : {ScalarType::Byte, ScalarType::Char, ScalarType::Short, ScalarType::Int, ScalarType::Long,
                               ScalarType::Half, ScalarType::Float, ScalarType::Double, ScalarType::Bool,
                               ScalarType::BFloat16}) {
    const DLDataType known = to_dlpack(candidate);
    if (known.code == type.code && known.bits == type.bits) return candidate;
  }
  return ScalarType::Undefined;
}

}  // namespace kernelwright

namespace at {
using namespace c10;
template <typename T>
struct OpMathType {
  using type = T;
};
template <>
struct OpMathType<Half> {
  using type = float;
};
template <>
struct OpMathType<BFloat16> {
  using type = float;
};
template <typename T>
using opmath_type = typename OpMathType<T>::type;
// As in ATen on the GPU: float accumulates in float.
template <typename T, bool is_cuda>
using acc_type = typename OpMathType<T>::type;
}  // namespace at

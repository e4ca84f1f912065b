// TORCH_CHECK and its kin: an exception whose text is the candidate's own message.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <cuda_runtime.h>

#include <kernelwright/macros.h>
#include <kernelwright/scalar.h>

namespace c10 {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  const char* what_without_backtrace() const noexcept { return what(); }
};

class OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

}  // namespace c10

namespace kernelwright {

inline void append(std::string& text, const char* piece) { text += piece == nullptr ? "(null)" : piece; }
inline void append(std::string& text, const std::string& piece) { text += piece; }
inline void append(std::string& text, char piece) { text += piece; }
inline void append(std::string& text, bool piece) { text += piece ? "true" : "false"; }
inline void append(std::string& text, std::string_view piece) { text += piece; }
inline void append(std::string& text, c10::ScalarType piece) { text += c10::toString(piece); }
inline void append(std::string& text, cudaError_t piece) { text += std::to_string(static_cast<int>(piece)); }
template <typename T, std::enable_if_t<std::is_arithmetic<T>::value, int> = 0>
void append(std::string& text, T piece) {
  text += std::to_string(piece);
}
// Sizes, strides and whatever else iterates over numbers.
template <typename T>
auto append(std::string& text, const T& list) -> decltype(list.begin(), void()) {
  text += '[';
  const char* separator = "";
  for (const auto& item : list) {
    text += separator;
    append(text, item);
    separator = ", ";
  }
  text += ']';
}

template <typename... Pieces>
std::string message(const Pieces&... pieces) {
  std::string text;
  using ordered = int[];
  (void)ordered{0, (append(text, pieces), 0)...};
  return text;
}

[[noreturn]] inline void fail(const std::string& text) { throw c10::Error(text); }

template <typename... Pieces>
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const Pieces&... pieces) {
  if (sizeof...(pieces) == 0) fail(message("Expected ", condition, " to be true (", file, ":", line, ")"));
  fail(message(pieces..., " (", file, ":", line, ")"));
}

inline void check_cuda(cudaError_t error, const char* file, int line) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  fail(message("CUDA error: ", cudaGetErrorString(error), " (", file, ":", line, ")"));
}

}  // namespace kernelwright

// An expression that `<<` may follow, as after PyTorch's TORCH_CHECK_EQ; the check comes before what is streamed.
namespace kernelwright {
struct Sink {
  template <typename T>
  const Sink& operator<<(const T&) const {
    return *this;
  }
};
template <typename A, typename B>
Sink check_operands(bool holds, const char* condition, const char* file, int line, const A& a, const B& b) {
  if (!holds) fail(message("Check failed: ", condition, " (", a, " vs. ", b, ") (", file, ":", line, ")"));
  return {};
}
}  // namespace kernelwright

#define TORCH_CHECK(condition, ...)                                                                      \
  do {                                                                                                   \
    if (!(condition)) ::kernelwright::check_failed(#condition, __FILE__, __LINE__, ##__VA_ARGS__);       \
  } while (0)
#define TORCH_CHECK_WITH(type, condition, ...)                                                                   \
  do {                                                                                                           \
    if (!(condition))                                                                                            \
      throw ::c10::type(::kernelwright::message(__VA_ARGS__, " (", __FILE__, ":", __LINE__, ")"));               \
  } while (0)
#define TORCH_INTERNAL_ASSERT(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_INTERNAL_ASSERT_DEBUG_ONLY(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_VALUE(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_TYPE(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_INDEX(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_ARG(condition, argument, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_NOT_IMPLEMENTED(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define STD_TORCH_CHECK(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define AT_ASSERT(condition) TORCH_CHECK(condition)
#define AT_ASSERTM(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define AT_CHECK(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define AT_ERROR(...) ::kernelwright::check_failed("", __FILE__, __LINE__, ##__VA_ARGS__)
#define TORCH_CHECK_OP(a, b, op) \
  ::kernelwright::check_operands((a)op(b), #a " " #op " " #b, __FILE__, __LINE__, (a), (b))
#define TORCH_CHECK_EQ(a, b) TORCH_CHECK_OP(a, b, ==)
#define TORCH_CHECK_NE(a, b) TORCH_CHECK_OP(a, b, !=)
#define TORCH_CHECK_LT(a, b) TORCH_CHECK_OP(a, b, <)
#define TORCH_CHECK_LE(a, b) TORCH_CHECK_OP(a, b, <=)
#define TORCH_CHECK_GT(a, b) TORCH_CHECK_OP(a, b, >)
#define TORCH_CHECK_GE(a, b) TORCH_CHECK_OP(a, b, >=)
#define TORCH_CHECK_NOTNULL(pointer) TORCH_CHECK((pointer) != nullptr)
#define TORCH_WARN(...) ((void)0)
#define TORCH_WARN_ONCE(...) ((void)0)
#define TORCH_WARN_DEPRECATION(...) ((void)0)

#define C10_CUDA_CHECK(expression) ::kernelwright::check_cuda((expression), __FILE__, __LINE__)
#define AT_CUDA_CHECK(expression) C10_CUDA_CHECK(expression)
#define C10_CUDA_KERNEL_LAUNCH_CHECK() C10_CUDA_CHECK(cudaGetLastError())
#define C10_CUDA_CHECK_WARN(expression) ((void)(expression))
#define C10_CUDA_ERROR_HANDLED(expression) (expression)
#define C10_CUDA_IGNORE_ERROR(expression) ((void)(expression), (void)cudaGetLastError())
#define C10_CUDA_CLEAR_ERROR() ((void)cudaGetLastError())
#define TORCH_CUDA_CHECK(expression) C10_CUDA_CHECK(expression)

// TORCH_CHECK and its kin: an exception whose text is the candidate's own message.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

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
inline void append(std::string& text, c10::ScalarType piece) { text += c10::toString(piece); }
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

#define TORCH_CHECK(condition, ...)                                                                      \
  do {                                                                                                   \
    if (!(condition)) ::kernelwright::check_failed(#condition, __FILE__, __LINE__, ##__VA_ARGS__);       \
  } while (0)
#define TORCH_INTERNAL_ASSERT(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_VALUE(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_TYPE(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_INDEX(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define TORCH_CHECK_NOT_IMPLEMENTED(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define AT_ASSERT(condition) TORCH_CHECK(condition)
#define AT_ASSERTM(condition, ...) TORCH_CHECK(condition, ##__VA_ARGS__)
#define AT_ERROR(...) ::kernelwright::check_failed("", __FILE__, __LINE__, ##__VA_ARGS__)
#define TORCH_CHECK_EQ(a, b) TORCH_CHECK((a) == (b))
#define TORCH_CHECK_NE(a, b) TORCH_CHECK((a) != (b))
#define TORCH_CHECK_LT(a, b) TORCH_CHECK((a) < (b))
#define TORCH_CHECK_LE(a, b) TORCH_CHECK((a) <= (b))
#define TORCH_CHECK_GT(a, b) TORCH_CHECK((a) > (b))
#define TORCH_CHECK_GE(a, b) TORCH_CHECK((a) >= (b))
#define TORCH_WARN(...) ((void)0)
#define TORCH_WARN_ONCE(...) ((void)0)

#define C10_CUDA_CHECK(expression) ::kernelwright::check_cuda((expression), __FILE__, __LINE__)
#define AT_CUDA_CHECK(expression) C10_CUDA_CHECK(expression)
#define C10_CUDA_KERNEL_LAUNCH_CHECK() C10_CUDA_CHECK(cudaGetLastError())

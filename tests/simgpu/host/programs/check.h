// What every program here checks its results with. With SPOIL_RESULT in the environment one value that came from the card
// is falsified before it is compared, so that a test can see each program fail.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CUDA_OK(call)                                                                   \
  do {                                                                                  \
    const cudaError_t code = (call);                                                    \
    if (code != cudaSuccess) {                                                          \
      std::fprintf(stderr, "line %d: %s\n", __LINE__, cudaGetErrorName(code));          \
      std::exit(2);                                                                     \
    }                                                                                   \
  } while (false)

// Device memory that holds a copy of host values, or room for `count` of them.
template <class T>
struct OnCard {
  T* data = nullptr;
  size_t count;

  explicit OnCard(size_t size) : count(size) { CUDA_OK(cudaMalloc(&data, size * sizeof(T))); }
  explicit OnCard(const std::vector<T>& values) : OnCard(values.size()) {
    CUDA_OK(cudaMemcpy(data, values.data(), count * sizeof(T), cudaMemcpyHostToDevice));
  }
  OnCard(const OnCard&) = delete;
  ~OnCard() { CUDA_OK(cudaFree(data)); }

  operator T*() const { return data; }
  std::vector<T> read() const {
    std::vector<T> values(count);
    CUDA_OK(cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
};

inline std::vector<float> random_floats(size_t count, unsigned seed, float low = -1, float high = 1) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = low + (high - low) * static_cast<float>(seed >> 8) / 16777216.0f;
  }
  return values;
}

// Leave with 1 when a value differs from the expected one by more than `tolerance` of it, or of 1.
template <class T>
void expect(const char* what, std::vector<T> got, const std::vector<T>& wanted, double tolerance = 0) {
  if (std::getenv("SPOIL_RESULT") != nullptr) got[got.size() / 2] = got[got.size() / 2] + T(2) * got[got.size() / 2] + T(1);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i]));
    if (difference <= tolerance * std::fmax(1.0, std::fabs(static_cast<double>(wanted[i])))) continue;
    std::printf("%s: [%zu] is %g, not %g\n", what, i, static_cast<double>(got[i]), static_cast<double>(wanted[i]));
    std::exit(1);
  }
  std::printf("%s: %zu values right\n", what, wanted.size());
}

// Half precision: packed dot products in fp16 and bf16, accumulated in float.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "check.h"

__global__ void dot_half(const __half2* a, const __half2* b, float* out, int pairs) {
  float sum = 0;
  for (int i = threadIdx.x; i < pairs; i += 32) {
    const float2 product = __half22float2(__hmul2(a[blockIdx.x * pairs + i], b[blockIdx.x * pairs + i]));
    sum += product.x + product.y;
  }
  for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

__global__ void dot_bfloat(const __nv_bfloat162* a, const __nv_bfloat162* b, float* out, int pairs) {
  float sum = 0;
  for (int i = threadIdx.x; i < pairs; i += 32) {
    const float2 x = __bfloat1622float2(a[blockIdx.x * pairs + i]), y = __bfloat1622float2(b[blockIdx.x * pairs + i]);
    sum = fmaf(x.x, y.x, fmaf(x.y, y.y, sum));
  }
  for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

template <class T, class Pair, class Kernel>
void run(const char* name, Kernel kernel, bool rounds_products) {
  constexpr int rows = 9, length = 260;
  std::vector<T> a, b;
  for (float value : random_floats(rows * length, 1)) a.push_back(T(value));
  for (float value : random_floats(rows * length, 2)) b.push_back(T(value));
  std::vector<float> wanted(rows);
  for (int i = 0; i < rows * length; ++i) {
    const float product = static_cast<float>(a[i]) * static_cast<float>(b[i]);
    wanted[i / length] += rounds_products ? static_cast<float>(T(product)) : product;
  }
  const OnCard<T> left(a), right(b);
  const OnCard<float> out(static_cast<size_t>(rows));
  kernel<<<rows, 32>>>(reinterpret_cast<Pair*>(left.data), reinterpret_cast<Pair*>(right.data), out, length / 2);
  expect(name, out.read(), wanted, 1e-5);
}

int main() {
  run<__half, __half2>("fp16", dot_half, true);
  run<__nv_bfloat16, __nv_bfloat162>("bf16", dot_bfloat, false);
}

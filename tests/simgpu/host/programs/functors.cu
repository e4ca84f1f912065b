// Templates: a transform and reduction over iterators and functors, on several types, with a virtual-free visitor.
#include <limits>

#include "check.h"

struct Plus {
  template <class T>
  __host__ __device__ T operator()(T a, T b) const { return a + b; }
};
struct Largest {
  template <class T>
  __host__ __device__ T operator()(T a, T b) const { return a < b ? b : a; }
};
template <class T>
struct Polynomial {
  T constant, linear, square;
  __host__ __device__ T operator()(T x) const { return constant + x * (linear + x * square); }
};
template <class T, int kStride>
struct Strided {
  const T* data;
  __host__ __device__ T operator[](int i) const { return data[i * kStride]; }
};

template <int kBlock, class T, class Iterator, class Map, class Join>
__global__ void reduce(Iterator values, int n, T* result, T neutral, Map map, Join join) {
  __shared__ T shared[kBlock];
  T own = neutral;
  for (int i = threadIdx.x; i < n; i += kBlock) own = join(own, map(values[i]));
  shared[threadIdx.x] = own;
#pragma unroll
  for (int step = kBlock / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + step]);
  }
  if (threadIdx.x == 0) *result = shared[0];
}

template <class T, int kStride, class Map, class Join>
void run(const char* name, const std::vector<T>& values, T neutral, Map map, Join join) {
  const int n = static_cast<int>(values.size()) / kStride;
  const OnCard<T> input(values), result(size_t{1});
  reduce<128><<<1, 128>>>(Strided<T, kStride>{input}, n, result.data, neutral, map, join);
  T wanted = neutral;
  for (int i = 0; i < n; ++i) wanted = join(wanted, map(Strided<T, kStride>{values.data()}[i]));
  expect(name, result.read(), {wanted}, sizeof(T) == 4 && T(0.5) != 0 ? 1e-4 : 1e-12);
}

int main() {
  const auto floats = random_floats(3000, 5);
  const std::vector<double> doubles(floats.begin(), floats.end());
  std::vector<int> integers;
  std::vector<long long> longs;
  for (float value : floats) integers.push_back(static_cast<int>(value * 1000)), longs.push_back(integers.back() * 1000000007LL);
  run<float, 1>("float sum", floats, 0.0f, Polynomial<float>{1, 2, 3}, Plus{});
  run<double, 3>("double sum", doubles, 0.0, Polynomial<double>{0.5, -1, 0.25}, Plus{});
  run<int, 2>("int maximum", integers, std::numeric_limits<int>::min(), Polynomial<int>{1, -7, 2}, Largest{});
  run<long long, 1>("long maximum", longs, std::numeric_limits<long long>::min(), Polynomial<long long>{3, -5, 0}, Largest{});
}

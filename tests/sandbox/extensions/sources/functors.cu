#include <torch/extension.h>

template <typename T>
struct Leaky {
  T slope;
  __device__ T operator()(T v) const { return v >= T(0) ? v : slope * v; }
};
template <typename T>
struct Clip {
  T bound;
  __device__ T operator()(T v) const { return v > bound ? bound : v; }
};

template <typename First, typename Second>
struct Chain {
  First first;
  Second second;
  template <typename T>
  __device__ T operator()(T v) const { return second(first(v)); }
};

template <typename T, typename F>
__global__ void map(const T* x, T* y, size_t n, F f) {
  for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = f(x[i]);
}

template <typename T, typename F>
void launch_map(const at::Tensor& x, at::Tensor& y, F f) {
  map<T, F><<<8, 64>>>(x.data_ptr<T>(), y.data_ptr<T>(), x.numel(), f);
}

at::Tensor forward(at::Tensor x) {
  at::Tensor y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "map", [&] {
    using Function = Chain<Leaky<scalar_t>, Clip<scalar_t>>;
    launch_map<scalar_t>(x, y, Function{{scalar_t(0.1)}, {scalar_t(1)}});
  });
  return y;
}

#include <torch/extension.h>

template <typename T>
__global__ void transpose_kernel(torch::PackedTensorAccessor64<T, 2> in, at::PackedTensorAccessor64<T, 2, at::DefaultPtrTraits> out) {
  const int64_t row = blockIdx.y * blockDim.y + threadIdx.y;
  const int64_t col = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < in.size(0) && col < in.size(1)) {
    auto target = out[col];
    target[row] = in[row][col];
  }
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty({x.size(1), x.size(0)}, x.options());
  dim3 threads(16, 16);
  dim3 blocks((x.size(1) + 15) / 16, (x.size(0) + 15) / 16);
  AT_DISPATCH_ALL_TYPES(x.scalar_type(), "transpose", [&] {
    transpose_kernel<scalar_t><<<blocks, threads>>>(x.packed_accessor64<scalar_t, 2>(), y.packed_accessor64<scalar_t, 2>());
  });
  return y;
}

#include <torch/extension.h>

template <typename scalar_t>
__global__ void argmax_kernel(const scalar_t* x, scalar_t* values, int64_t* indices, int cols) {
  const scalar_t* row = x + blockIdx.x * cols;
  float best = -INFINITY;
  int where = 0;
  for (int c = threadIdx.x; c < cols; c += warpSize) {
    float v = static_cast<float>(row[c]);
    if (v > best) { best = v; where = c; }
  }
  #pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    float other = __shfl_down_sync(0xffffffff, best, offset);
    int place = __shfl_down_sync(0xffffffff, where, offset);
    if (other > best || (other == best && place < where)) { best = other; where = place; }
  }
  if (threadIdx.x == 0) { values[blockIdx.x] = static_cast<scalar_t>(best); indices[blockIdx.x] = where; }
}

std::tuple<at::Tensor, at::Tensor> forward(at::Tensor x) {
  auto values = torch::empty({x.size(0)}, x.options());
  auto indices = torch::empty({x.size(0)}, x.options().dtype(torch::kInt64));
  AT_DISPATCH_FLOATING_TYPES_AND_HALF(x.scalar_type(), "argmax", ([&] {
    argmax_kernel<scalar_t><<<x.size(0), 32>>>(x.data_ptr<scalar_t>(), values.data_ptr<scalar_t>(), indices.data_ptr<int64_t>(), x.size(1));
  }));
  return {values, indices};
}

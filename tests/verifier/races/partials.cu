// Sum over the last dimension in two halves: the block that comes last to a row adds them up.
#include <torch/extension.h>

__global__ void row_sum_halves(const float* x, float* y, float* partial, int* arrived, int cols) {
  __shared__ int last;
  int row = blockIdx.x / 2, half = blockIdx.x % 2, t = threadIdx.x;
  float sum = 0;
  for (int i = half * 32 + t; i < cols; i += 64) sum += x[static_cast<int64_t>(row) * cols + i];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (t == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(arrived + row, 1);
  }
  __syncthreads();
  if (last == 1 && t == 0) y[row] = partial[2 * row] + partial[2 * row + 1];
}

torch::Tensor forward(torch::Tensor x) {
  int rows = x.size(0), cols = x.size(1);
  auto y = torch::empty({rows}, x.options());
  auto partial = torch::empty({2 * rows}, x.options());
  auto arrived = torch::zeros({rows}, x.options().dtype(torch::kInt32));
  row_sum_halves<<<2 * rows, 32>>>(x.data_ptr<float>(), y.data_ptr<float>(), partial.data_ptr<float>(),
                                   arrived.data_ptr<int>(), cols);
  return y;
}

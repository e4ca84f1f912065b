// Softmax over rows, forward and backward: a warp per row with shuffles, and a block per row with an online maximum.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

#include "check.h"

namespace cg = cooperative_groups;

__global__ void by_warps(const float* in, float* out, int rows, int columns) {
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  const int row = blockIdx.x * warp.meta_group_size() + warp.meta_group_rank();
  if (row >= rows) return;
  const float* x = in + row * columns;
  float largest = -INFINITY, sum = 0;
  for (int i = warp.thread_rank(); i < columns; i += 32) largest = fmaxf(largest, x[i]);
  largest = cg::reduce(warp, largest, cg::greater<float>{});
  for (int i = warp.thread_rank(); i < columns; i += 32) sum += expf(x[i] - largest);
  sum = cg::reduce(warp, sum, cg::plus<float>{});
  for (int i = warp.thread_rank(); i < columns; i += 32) out[row * columns + i] = expf(x[i] - largest) / sum;
}

struct Running {
  float largest, sum;
};

__device__ Running join(Running a, Running b) {
  const float largest = fmaxf(a.largest, b.largest);
  return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

__global__ void by_blocks(const float* in, float* out, int rows, int columns) {
  extern __shared__ Running running[];
  const int row = blockIdx.x;
  Running own = {-1e30f, 0};
  for (int i = threadIdx.x; i < columns; i += blockDim.x) own = join(own, {in[row * columns + i], 1});
  running[threadIdx.x] = own;
  for (int step = blockDim.x / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) running[threadIdx.x] = join(running[threadIdx.x], running[threadIdx.x + step]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < columns; i += blockDim.x)
    out[row * columns + i] = expf(in[row * columns + i] - running[0].largest) / running[0].sum;
}

__global__ void backward(const float* y, const float* dy, float* dx, int columns) {
  __shared__ float total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  const int at = blockIdx.x * columns;
  float part = 0;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) part += y[at + i] * dy[at + i];
  atomicAdd(&total, part);
  __syncthreads();
  for (int i = threadIdx.x; i < columns; i += blockDim.x) dx[at + i] = y[at + i] * (dy[at + i] - total);
}

int main() {
  constexpr int rows = 37, columns = 130;
  const auto x = random_floats(rows * columns, 1, -4, 4), dy = random_floats(rows * columns, 2);
  std::vector<float> y(x.size()), dx(x.size());
  for (int row = 0; row < rows; ++row) {
    double sum = 0, dot = 0;
    for (int i = 0; i < columns; ++i) sum += std::exp(static_cast<double>(x[row * columns + i]));
    for (int i = row * columns; i < (row + 1) * columns; ++i) dot += (y[i] = std::exp(static_cast<double>(x[i])) / sum) * dy[i];
    for (int i = row * columns; i < (row + 1) * columns; ++i) dx[i] = y[i] * (dy[i] - dot);
  }
  const OnCard<float> input(x), gradient(dy), warps(x.size()), blocks(x.size()), result(x.size());
  by_warps<<<(rows + 3) / 4, 128>>>(input, warps, rows, columns);
  by_blocks<<<rows, 64, 64 * sizeof(Running)>>>(input, blocks, rows, columns);
  backward<<<rows, 64>>>(blocks, gradient, result, columns);
  expect("warps", warps.read(), y, 1e-6);
  expect("blocks", blocks.read(), y, 1e-6);
  expect("backward", result.read(), dx, 1e-6);
}

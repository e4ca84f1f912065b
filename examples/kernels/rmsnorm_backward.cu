// Gradients of RMSNorm: rows first, which also keeps the scale of each row, then column sums for the weight.
#include <torch/extension.h>

#include <algorithm>
#include <tuple>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

// Sum over the block; every thread gets it.
__device__ float block_sum(float v) {
  __shared__ float partial[kWarps];
  v = warp_sum(v);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < kWarps; ++w) total += partial[w];
  __syncthreads();
  return total;
}
constexpr int kCols = 32;
constexpr int kRows = 8;

__global__ void input_kernel(
    const float* grad, const float* x, const float* weight, float* result, float* scales, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += x[offset + i] * x[offset + i];
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  float along = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) along += grad[offset + i] * weight[i] * (x[offset + i] * scale);
  along = block_sum(along) / cols;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    result[offset + i] = scale * (grad[offset + i] * weight[i] - x[offset + i] * scale * along);
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

__global__ void weight_kernel(
    const float* grad, const float* x, const float* scales, float* weight_grad, int rows, int cols) {
  __shared__ float sums[kRows][kCols];
  int col = blockIdx.x * kCols + threadIdx.x;
  float sum = 0.0f;
  if (col < cols) {
    for (int row = blockIdx.y * kRows + threadIdx.y; row < rows; row += gridDim.y * kRows) {
      int64_t i = static_cast<int64_t>(row) * cols + col;
      sum += grad[i] * x[i] * scales[row];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && col < cols) {
    for (int r = 1; r < kRows; ++r) sum += sums[r][threadIdx.x];
    atomicAdd(weight_grad + col, sum);
  }
}

std::tuple<torch::Tensor, torch::Tensor> backward(torch::Tensor grad, torch::Tensor x, torch::Tensor weight) {
  int rows = x.size(0), cols = x.size(1);
  auto result = torch::empty_like(x);
  auto scales = torch::empty({rows}, x.options());
  auto weight_grad = torch::zeros({cols}, x.options());
  input_kernel<<<rows, kThreads>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), weight.data_ptr<float>(), result.data_ptr<float>(),
      scales.data_ptr<float>(), cols);
  dim3 grid((cols + kCols - 1) / kCols, std::min((rows + 63) / 64, 64));
  weight_kernel<<<grid, dim3(kCols, kRows)>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), scales.data_ptr<float>(), weight_grad.data_ptr<float>(), rows, cols);
  return {result, weight_grad};
}

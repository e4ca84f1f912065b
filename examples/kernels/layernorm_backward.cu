// Gradients of LayerNorm. The first kernel gives each row its gradient and keeps its mean and scale; the second sums
// the columns, a share of the rows per block, and adds the shares atomically.
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
    const float* grad, const float* x, const float* weight, float* result, float* means, float* scales, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += x[offset + i];
  float mean = block_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += (x[offset + i] - mean) * (x[offset + i] - mean);
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  float plain = 0.0f, along = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float weighted = grad[offset + i] * weight[i];
    plain += weighted;
    along += weighted * (x[offset + i] - mean) * scale;
  }
  plain = block_sum(plain) / cols;
  along = block_sum(along) / cols;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float normed = (x[offset + i] - mean) * scale;
    result[offset + i] = scale * (grad[offset + i] * weight[i] - plain - normed * along);
  }
  if (threadIdx.x == 0) {
    means[blockIdx.x] = mean;
    scales[blockIdx.x] = scale;
  }
}

__global__ void parameter_kernel(
    const float* grad, const float* x, const float* means, const float* scales, float* weight_grad, float* bias_grad,
    int rows, int cols) {
  __shared__ float weight_sums[kRows][kCols], bias_sums[kRows][kCols];
  int col = blockIdx.x * kCols + threadIdx.x;
  float weight_sum = 0.0f, bias_sum = 0.0f;
  if (col < cols) {
    for (int row = blockIdx.y * kRows + threadIdx.y; row < rows; row += gridDim.y * kRows) {
      int64_t i = static_cast<int64_t>(row) * cols + col;
      weight_sum += grad[i] * (x[i] - means[row]) * scales[row];
      bias_sum += grad[i];
    }
  }
  weight_sums[threadIdx.y][threadIdx.x] = weight_sum;
  bias_sums[threadIdx.y][threadIdx.x] = bias_sum;
  __syncthreads();
  if (threadIdx.y == 0 && col < cols) {
    for (int r = 1; r < kRows; ++r) {
      weight_sum += weight_sums[r][threadIdx.x];
      bias_sum += bias_sums[r][threadIdx.x];
    }
    atomicAdd(weight_grad + col, weight_sum);
    atomicAdd(bias_grad + col, bias_sum);
  }
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> backward(
    torch::Tensor grad, torch::Tensor x, torch::Tensor weight) {
  int rows = x.size(0), cols = x.size(1);
  auto result = torch::empty_like(x);
  auto means = torch::empty({rows}, x.options());
  auto scales = torch::empty({rows}, x.options());
  auto weight_grad = torch::zeros({cols}, x.options());
  auto bias_grad = torch::zeros({cols}, x.options());
  input_kernel<<<rows, kThreads>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), weight.data_ptr<float>(), result.data_ptr<float>(),
      means.data_ptr<float>(), scales.data_ptr<float>(), cols);
  dim3 grid((cols + kCols - 1) / kCols, std::min((rows + 63) / 64, 64));
  parameter_kernel<<<grid, dim3(kCols, kRows)>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), means.data_ptr<float>(), scales.data_ptr<float>(),
      weight_grad.data_ptr<float>(), bias_grad.data_ptr<float>(), rows, cols);
  return {result, weight_grad, bias_grad};
}

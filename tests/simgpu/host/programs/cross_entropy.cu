// Cross-entropy fused with softmax: losses and the gradient of the logits in one pass over each row.
#include "check.h"

__global__ void classify(const float* logits, const int* targets, float* losses, float* dlogits, int classes, int padded) {
  const float* row = logits + blockIdx.x * padded;
  __shared__ float shared[8];
  float largest = -INFINITY, sum = 0;
  for (int i = threadIdx.x; i < classes; i += blockDim.x) largest = fmaxf(largest, row[i]);
  for (int step = 16; step; step /= 2) largest = fmaxf(largest, __shfl_down_sync(~0u, largest, step));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = largest;
  __syncthreads();
  largest = shared[0];
  for (int warp = 1; warp < blockDim.x / 32; ++warp) largest = fmaxf(largest, shared[warp]);
  __syncthreads();
  for (int i = threadIdx.x; i < classes; i += blockDim.x) sum += expf(row[i] - largest);
  for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < blockDim.x / 32; ++warp) sum += shared[warp];
  const int target = targets[blockIdx.x];
  if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) + largest - row[target];
  for (int i = threadIdx.x; i < padded; i += blockDim.x) {
    const float probability = i < classes ? expf(row[i] - largest) / sum : 0;
    dlogits[blockIdx.x * padded + i] = (probability - (i == target)) / gridDim.x;
  }
}

int main() {
  constexpr int rows = 20, classes = 203, padded = 208;
  const auto logits = random_floats(rows * padded, 9, -5, 5);
  std::vector<int> targets(rows);
  std::vector<float> losses(rows), gradient(logits.size());
  for (int row = 0; row < rows; ++row) {
    targets[row] = row * 31 % classes;
    double sum = 0;
    for (int i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(logits[row * padded + i]));
    losses[row] = std::log(sum) - logits[row * padded + targets[row]];
    for (int i = 0; i < classes; ++i)
      gradient[row * padded + i] =
          (std::exp(static_cast<double>(logits[row * padded + i])) / sum - (i == targets[row])) / rows;
  }
  const OnCard<float> input(logits), loss(static_cast<size_t>(rows)), result(logits.size());
  const OnCard<int> labels(targets);
  classify<<<rows, 96>>>(input, labels, loss, result, classes, padded);
  expect("losses", loss.read(), losses, 1e-5);
  expect("gradient", result.read(), gradient, 1e-6);
}

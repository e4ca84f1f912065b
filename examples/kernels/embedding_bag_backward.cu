// Gradients of a weighted bag of embedding rows: a warp per look-up multiplies the sample's gradient with the row, and
// adds it, weighted, to the row's gradient. Rows that are looked up often collide in the atomics.
#include <torch/extension.h>

#include <tuple>

constexpr int kWarps = 4;

__global__ void bag_backward_kernel(
    const float* grad, const int64_t* index, const float* weight, const float* table, float* weight_grad,
    float* table_grad, int64_t lookups, int bag, int width) {
  int64_t lookup = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (lookup >= lookups) return;
  const float* upstream = grad + lookup / bag * width;
  int64_t row = index[lookup] * width;
  float factor = weight[lookup], total = 0.0f;
  for (int at = threadIdx.x; at < width; at += 32) {
    total += upstream[at] * table[row + at];
    atomicAdd(table_grad + row + at, factor * upstream[at]);
  }
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) weight_grad[lookup] = total;
}

std::tuple<torch::Tensor, torch::Tensor> backward(
    torch::Tensor grad, torch::Tensor index, torch::Tensor weight, torch::Tensor table) {
  auto weight_grad = torch::empty_like(weight);
  auto table_grad = torch::zeros_like(table);
  int bag = index.size(1), width = table.size(1);
  int64_t lookups = index.numel();
  bag_backward_kernel<<<(lookups + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      grad.data_ptr<float>(), index.data_ptr<int64_t>(), weight.data_ptr<float>(), table.data_ptr<float>(),
      weight_grad.data_ptr<float>(), table_grad.data_ptr<float>(), lookups, bag, width);
  return {weight_grad, table_grad};
}

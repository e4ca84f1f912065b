// Coordinates moved along their edges: copy, then a thread per edge adds its weighted difference atomically.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void copy_kernel(const float* from, float* to, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) to[i] = from[i];
}

__global__ void edge_kernel(
    const float* x, const float* weight, const int64_t* source, const int64_t* target, float* y, int edges) {
  int edge = blockIdx.x * kThreads + threadIdx.x;
  if (edge >= edges) return;
  int64_t to = target[edge] * 3, from = source[edge] * 3;
  for (int axis = 0; axis < 3; ++axis) atomicAdd(y + to + axis, (x[to + axis] - x[from + axis]) * weight[edge]);
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor source, torch::Tensor target) {
  auto y = torch::empty_like(x);
  int edges = weight.numel();
  int64_t n = x.numel();
  copy_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
  edge_kernel<<<(edges + kThreads - 1) / kThreads, kThreads>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), source.data_ptr<int64_t>(), target.data_ptr<int64_t>(),
      y.data_ptr<float>(), edges);
  return y;
}

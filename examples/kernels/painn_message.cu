// Equivariant messages: copy, then a block per edge builds the three rows of its message in registers and adds them.
#include <torch/extension.h>

constexpr int kThreads = 64;

__global__ void copy_kernel(const float* from, float* to, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) to[i] = from[i];
}

__global__ void edge_kernel(
    const float* vector, const float* gate, const float* share, const float* direction, const int64_t* ends, float* y,
    int width) {
  int64_t edge = blockIdx.x;
  const float* from = vector + ends[edge] * 3 * width;
  float* to = y + ends[gridDim.x + edge] * 3 * width;
  for (int at = threadIdx.x; at < width; at += kThreads) {
    float open = gate[edge * width + at], spread = share[edge * width + at];
    for (int axis = 0; axis < 3; ++axis) {
      atomicAdd(to + axis * width + at, from[axis * width + at] * open + direction[edge * 3 + axis] * spread);
    }
  }
}

torch::Tensor forward(
    torch::Tensor vector, torch::Tensor gate, torch::Tensor share, torch::Tensor direction, torch::Tensor ends) {
  auto y = torch::empty_like(vector);
  int edges = gate.size(0), width = gate.size(1);
  int64_t n = vector.numel();
  copy_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(vector.data_ptr<float>(), y.data_ptr<float>(), n);
  edge_kernel<<<edges, kThreads>>>(
      vector.data_ptr<float>(), gate.data_ptr<float>(), share.data_ptr<float>(), direction.data_ptr<float>(),
      ends.data_ptr<int64_t>(), y.data_ptr<float>(), width);
  return y;
}

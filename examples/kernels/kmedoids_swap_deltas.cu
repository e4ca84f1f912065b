// Cost changes of all swaps in one read of the distances: a thread per candidate point walks the objects, with one sum
// for every medoid in shared memory and the gain, which is common to all of them, in a register.
#include <torch/extension.h>

constexpr int kThreads = 64;

__global__ void swap_kernel(
    const float* distance, const float* nearest, const float* gap, const int64_t* label, const float* start, float* y,
    int points, int medoids) {
  extern __shared__ float losses[];  // [medoid][thread]
  int candidate = blockIdx.x * kThreads + threadIdx.x;
  for (int m = 0; m < medoids; ++m) losses[m * kThreads + threadIdx.x] = 0.0f;
  if (candidate >= points) return;
  float gains = 0.0f;
  for (int o = 0; o < points; ++o) {
    float d = distance[static_cast<int64_t>(o) * points + candidate];
    float gain = fminf(d - nearest[o], 0.0f);
    gains += gain;
    losses[label[o] * kThreads + threadIdx.x] += fminf(d, nearest[o] + gap[o]) - nearest[o] - gain;
  }
  for (int m = 0; m < medoids; ++m) {
    y[static_cast<int64_t>(m) * points + candidate] = start[m] + gains + losses[m * kThreads + threadIdx.x];
  }
}

torch::Tensor forward(
    torch::Tensor distance, torch::Tensor nearest, torch::Tensor gap, torch::Tensor label, torch::Tensor start) {
  int points = distance.size(0), medoids = start.size(0);
  TORCH_CHECK(medoids <= 180, "more than 180 medoids do not fit into shared memory");
  auto y = torch::empty({medoids, points}, distance.options());
  swap_kernel<<<(points + kThreads - 1) / kThreads, kThreads, medoids * kThreads * sizeof(float)>>>(
      distance.data_ptr<float>(), nearest.data_ptr<float>(), gap.data_ptr<float>(), label.data_ptr<int64_t>(),
      start.data_ptr<float>(), y.data_ptr<float>(), points, medoids);
  return y;
}

// Squared distance to the nearest centroid: one warp per point, a lane per centroid, a running minimum.
#include <torch/extension.h>

constexpr int kWarps = 4;

__global__ void nearest_kernel(const float* x, const float* centroid, float* y, int points, int clusters, int width) {
  int point = blockIdx.x * kWarps + threadIdx.y;
  if (point >= points) return;
  const float* own = x + static_cast<int64_t>(point) * width;
  float least = INFINITY;
  for (int c = threadIdx.x; c < clusters; c += 32) {
    float total = 0.0f;
    for (int at = 0; at < width; ++at) {
      float difference = own[at] - centroid[static_cast<int64_t>(c) * width + at];
      total += difference * difference;
    }
    least = fminf(least, total);
  }
  for (int offset = 16; offset > 0; offset /= 2) least = fminf(least, __shfl_xor_sync(0xffffffffu, least, offset));
  if (threadIdx.x == 0) y[point] = least;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor centroid) {
  int points = x.size(0), width = x.size(1), clusters = centroid.size(0);
  auto y = torch::empty({points}, x.options());
  nearest_kernel<<<(points + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      x.data_ptr<float>(), centroid.data_ptr<float>(), y.data_ptr<float>(), points, clusters, width);
  return y;
}

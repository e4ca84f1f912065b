// New centroids. A block owns 32 elements of one cluster and walks all labels with eight rows of threads: sums stay in
// registers, and nothing is added atomically.
#include <torch/extension.h>

constexpr int kCols = 32;
constexpr int kRows = 8;

__global__ void update_kernel(
    const float* x, const int64_t* label, const float* centroid, float* y, int points, int width) {
  __shared__ float sums[kRows][kCols];
  __shared__ int counts[kRows];
  int cluster = blockIdx.y;
  int at = blockIdx.x * kCols + threadIdx.x;
  float sum = 0.0f;
  int count = 0;
  for (int point = threadIdx.y; point < points; point += kRows) {
    if (label[point] != cluster) continue;  // the same for a whole warp
    ++count;
    if (at < width) sum += x[static_cast<int64_t>(point) * width + at];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  if (threadIdx.x == 0) counts[threadIdx.y] = count;
  __syncthreads();
  if (threadIdx.y > 0 || at >= width) return;
  for (int row = 1; row < kRows; ++row) {
    sum += sums[row][threadIdx.x];
    count += counts[row];
  }
  int64_t to = static_cast<int64_t>(cluster) * width + at;
  y[to] = count > 0 ? sum / count : centroid[to];
}

torch::Tensor forward(torch::Tensor x, torch::Tensor label, torch::Tensor centroid) {
  auto y = torch::empty_like(centroid);
  int points = x.size(0), width = x.size(1), clusters = centroid.size(0);
  update_kernel<<<dim3((width + kCols - 1) / kCols, clusters), dim3(kCols, kRows)>>>(
      x.data_ptr<float>(), label.data_ptr<int64_t>(), centroid.data_ptr<float>(), y.data_ptr<float>(), points, width);
  return y;
}

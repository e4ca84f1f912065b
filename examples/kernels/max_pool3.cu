// Maximum over 3 x 3 windows, stride 2, padding 1: one thread per output, windows clipped at the borders.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void max_pool_kernel(const float* x, float* y, int height, int width, int rows, int cols) {
  int at = blockIdx.x * kThreads + threadIdx.x;
  if (at >= rows * cols) return;
  const float* plane = x + static_cast<int64_t>(blockIdx.y) * height * width;
  int row = at / cols * 2, col = at % cols * 2;
  float most = -INFINITY;
  for (int r = max(row - 1, 0); r <= min(row + 1, height - 1); ++r) {
    for (int c = max(col - 1, 0); c <= min(col + 1, width - 1); ++c) most = fmaxf(most, plane[r * width + c]);
  }
  y[static_cast<int64_t>(blockIdx.y) * rows * cols + at] = most;
}

torch::Tensor forward(torch::Tensor x) {
  int samples = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  int rows = (height - 1) / 2 + 1, cols = (width - 1) / 2 + 1;
  auto y = torch::empty({samples, channels, rows, cols}, x.options());
  dim3 grid((rows * cols + kThreads - 1) / kThreads, samples * channels);
  max_pool_kernel<<<grid, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), height, width, rows, cols);
  return y;
}

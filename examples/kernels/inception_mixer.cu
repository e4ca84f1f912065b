// Token mixer of InceptionNeXt in one launch: a block belongs to one channel of one sample, so all its threads take the
// same branch. Neighbours are read through L1.
#include <torch/extension.h>

constexpr int kThreads = 128;

struct Branch {
  const float* weight;
  const float* bias;
  int height;  // of the window
  int width;
};

__device__ float stencil(
    const float* plane, const Branch& branch, int channel, int row, int col, int height, int width) {
  float total = branch.bias[channel];
  const float* taps = branch.weight + channel * branch.height * branch.width;
  for (int u = 0; u < branch.height; ++u) {
    for (int v = 0; v < branch.width; ++v) {
      int r = row + u - branch.height / 2, c = col + v - branch.width / 2;
      if (r >= 0 && r < height && c >= 0 && c < width) total += taps[u * branch.width + v] * plane[r * width + c];
    }
  }
  return total;
}

__global__ void mixer_kernel(
    const float* x, Branch square, Branch row_band, Branch column_band, float* y, int share, int height, int width) {
  int channel = blockIdx.y % (8 * share);
  int64_t offset = static_cast<int64_t>(blockIdx.y) * height * width;
  int pixel = blockIdx.x * kThreads + threadIdx.x;
  if (pixel >= height * width) return;
  int group = channel / share;  // 0 to 4 stay as they are
  if (group < 5) {
    y[offset + pixel] = x[offset + pixel];
    return;
  }
  Branch branch = group == 5 ? square : group == 6 ? row_band : column_band;
  y[offset + pixel] = stencil(x + offset, branch, channel % share, pixel / width, pixel % width, height, width);
}

torch::Tensor forward(
    torch::Tensor x, torch::Tensor square, torch::Tensor square_bias, torch::Tensor row, torch::Tensor row_bias,
    torch::Tensor column, torch::Tensor column_bias) {
  auto y = torch::empty_like(x);
  int samples = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  dim3 grid((height * width + kThreads - 1) / kThreads, samples * channels);
  mixer_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), Branch{square.data_ptr<float>(), square_bias.data_ptr<float>(), 3, 3},
      Branch{row.data_ptr<float>(), row_bias.data_ptr<float>(), 1, 11},
      Branch{column.data_ptr<float>(), column_bias.data_ptr<float>(), 11, 1}, y.data_ptr<float>(), channels / 8, height,
      width);
  return y;
}

// 3 x 3 convolution, bias and ReLU. A block computes a tile of 16 x 16 pixels of four output channels, so that each
// input pixel in shared memory is used for four sums.
#include <torch/extension.h>

constexpr int kTile = 16;
constexpr int kSpan = kTile + 2;
constexpr int kOutputs = 4;

__global__ void conv3_kernel(
    const float* x, const float* weight, const float* bias, float* y, int inputs, int outputs, int height, int width) {
  __shared__ float tile[kSpan][kSpan];
  __shared__ float taps[kOutputs][9];
  int blocks = (outputs + kOutputs - 1) / kOutputs;
  int sample = blockIdx.z / blocks, first = blockIdx.z % blocks * kOutputs;
  int thread = threadIdx.y * kTile + threadIdx.x;
  int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
  float total[kOutputs] = {};
  for (int input = 0; input < inputs; ++input) {
    const float* plane = x + (static_cast<int64_t>(sample) * inputs + input) * height * width;
    for (int i = thread; i < kSpan * kSpan; i += kTile * kTile) {
      int r = blockIdx.y * kTile + i / kSpan - 1, c = blockIdx.x * kTile + i % kSpan - 1;
      bool inside = r >= 0 && r < height && c >= 0 && c < width;
      tile[i / kSpan][i % kSpan] = inside ? plane[r * width + c] : 0.0f;
    }
    if (thread < kOutputs * 9) {
      int output = first + thread / 9;
      taps[thread / 9][thread % 9] =
          output < outputs ? weight[(static_cast<int64_t>(output) * inputs + input) * 9 + thread % 9] : 0.0f;
    }
    __syncthreads();
    for (int tap = 0; tap < 9; ++tap) {
      float value = tile[threadIdx.y + tap / 3][threadIdx.x + tap % 3];
      for (int o = 0; o < kOutputs; ++o) total[o] += taps[o][tap] * value;
    }
    __syncthreads();
  }
  if (row >= height || col >= width) return;
  for (int o = 0; o < kOutputs && first + o < outputs; ++o) {
    int64_t plane = static_cast<int64_t>(sample) * outputs + first + o;
    y[(plane * height + row) * width + col] = fmaxf(total[o] + bias[first + o], 0.0f);
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  int samples = x.size(0), inputs = x.size(1), height = x.size(2), width = x.size(3), outputs = weight.size(0);
  auto y = torch::empty({samples, outputs, height, width}, x.options());
  int blocks = (outputs + kOutputs - 1) / kOutputs;
  dim3 grid((width + kTile - 1) / kTile, (height + kTile - 1) / kTile, samples * blocks);
  conv3_kernel<<<grid, dim3(kTile, kTile)>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), inputs, outputs,
      height, width);
  return y;
}

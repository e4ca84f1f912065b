// Multi-scale kernel of SGConv: every output element finds its scale, then blends two neighbours of that sub-kernel.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kScales = 5;

__global__ void assemble_kernel(const float* parts, float* y, int channels, int base, int length) {
  int at = blockIdx.x * kThreads + threadIdx.x;
  if (at >= length) return;
  int channel = blockIdx.y;
  // Scales 0 and 1 take `base` elements each, scale s > 1 takes base * 2^(s-1).
  int scale = 0, stretch = 1, first = 0;
  while (at >= first + base * stretch) {
    first += base * stretch;
    stretch = scale == 0 ? 1 : 2 * stretch;
    ++scale;
  }
  float place = fmaxf((at - first + 0.5f) / stretch - 0.5f, 0.0f);
  int left = static_cast<int>(place);
  int right = min(left + 1, base - 1);
  float share = place - left;
  const float* part = parts + (static_cast<int64_t>(scale) * channels + channel) * base;
  float value = (1.0f - share) * part[left] + share * part[right];
  y[static_cast<int64_t>(channel) * length + at] = ldexpf(value, -scale);
}

torch::Tensor forward(torch::Tensor parts) {
  int channels = parts.size(1), base = parts.size(2);
  int length = base << (kScales - 1);
  auto y = torch::empty({channels, length}, parts.options());
  dim3 grid((length + kThreads - 1) / kThreads, channels);
  assemble_kernel<<<grid, kThreads>>>(parts.data_ptr<float>(), y.data_ptr<float>(), channels, base, length);
  return y;
}

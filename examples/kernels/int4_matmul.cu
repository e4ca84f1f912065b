// Product with packed 4-bit weights: one warp per result. Lanes take neighbouring bytes, each with two
// weights of one block of 32.
#include <torch/extension.h>

constexpr int kWarps = 4;
constexpr int kBytes = 16;  // of a block of 32 weights

__global__ void int4_matmul_kernel(
    const float* x, const uint8_t* packed, const float* scale, float* y, int hidden, int groups) {
  int col = blockIdx.x * kWarps + threadIdx.y;
  if (col >= hidden) return;
  const float* row = x + static_cast<int64_t>(blockIdx.y) * groups * 2 * kBytes;
  const uint8_t* weights = packed + static_cast<int64_t>(col) * groups * kBytes;
  float total = 0.0f;
  for (int i = threadIdx.x; i < groups * kBytes; i += 32) {
    int byte = weights[i];
    float low = (byte & 15) - 8, high = (byte >> 4) - 8;
    total += (row[2 * i] * low + row[2 * i + 1] * high) * scale[static_cast<int64_t>(col) * groups + i / kBytes];
  }
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) y[static_cast<int64_t>(blockIdx.y) * hidden + col] = total;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor packed, torch::Tensor scale) {
  int rows = x.size(0), hidden = packed.size(0), groups = scale.size(1);
  auto y = torch::empty({rows, hidden}, x.options());
  dim3 grid((hidden + kWarps - 1) / kWarps, rows);
  int4_matmul_kernel<<<grid, dim3(32, kWarps)>>>(
      x.data_ptr<float>(), packed.data_ptr<uint8_t>(), scale.data_ptr<float>(), y.data_ptr<float>(), hidden, groups);
  return y;
}

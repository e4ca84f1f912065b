// Softmax of each run: a warp per run, three walks over it, of which the later ones read L1.
#include <torch/extension.h>

constexpr int kWarps = 4;

__global__ void segment_softmax_kernel(const float* score, const int64_t* offset, float* y, int rows) {
  int row = blockIdx.x * kWarps + threadIdx.y;
  if (row >= rows) return;
  int64_t first = offset[row] + threadIdx.x, last = offset[row + 1];
  float most = -INFINITY;
  for (int64_t i = first; i < last; i += 32) most = fmaxf(most, score[i]);
  for (int lanes = 16; lanes > 0; lanes /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, lanes));
  float total = 0.0f;
  for (int64_t i = first; i < last; i += 32) {
    y[i] = expf(score[i] - most);
    total += y[i];
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) total += __shfl_xor_sync(0xffffffffu, total, lanes);
  for (int64_t i = first; i < last; i += 32) y[i] /= total;
}

torch::Tensor forward(torch::Tensor score, torch::Tensor offset) {
  auto y = torch::empty_like(score);
  int rows = offset.numel() - 1;
  segment_softmax_kernel<<<(rows + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      score.data_ptr<float>(), offset.data_ptr<int64_t>(), y.data_ptr<float>(), rows);
  return y;
}

// Gradients of the group-wise rational function, in the way of FlashKAT: a block sums its ten coefficient gradients
// before it adds them to the group's, so there is one atomic addition per block and coefficient, not one per element.
#include <torch/extension.h>

#include <algorithm>
#include <tuple>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kGroups = 8;
constexpr int kTop = 6;
constexpr int kBottom = 4;

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

__global__ void rational_backward_kernel(
    const float* grad, const float* x, const float* numerator, const float* denominator, float* dx, float* da,
    float* db, int64_t elements, int share) {
  __shared__ float partial[kTop + kBottom][kWarps];
  const float* a = numerator + blockIdx.y * kTop;
  const float* b = denominator + blockIdx.y * kBottom;
  float sums[kTop + kBottom] = {};
  int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < elements; i += stride) {
    int64_t at = i / share * share * kGroups + blockIdx.y * share + i % share;
    float v = x[at];
    float inner = v * (b[0] + v * (b[1] + v * (b[2] + v * b[3])));
    float inner_slope = b[0] + v * (2.0f * b[1] + v * (3.0f * b[2] + v * 4.0f * b[3]));
    float sign = inner > 0.0f ? 1.0f : inner < 0.0f ? -1.0f : 0.0f;
    float top = a[0] + v * (a[1] + v * (a[2] + v * (a[3] + v * (a[4] + v * a[5]))));
    float top_slope = a[1] + v * (2.0f * a[2] + v * (3.0f * a[3] + v * (4.0f * a[4] + v * 5.0f * a[5])));
    float inverse = 1.0f / (1.0f + fabsf(inner));
    float per_top = grad[at] * inverse;
    float per_bottom = -per_top * top * inverse * sign;
    dx[at] = per_top * top_slope + per_bottom * inner_slope;
    for (int p = 0; p < kTop; ++p, per_top *= v) sums[p] += per_top;
    for (int p = 0; p < kBottom; ++p) sums[kTop + p] += per_bottom *= v;
  }
  for (int p = 0; p < kTop + kBottom; ++p) {
    float sum = warp_sum(sums[p]);
    if (threadIdx.x % 32 == 0) partial[p][threadIdx.x / 32] = sum;
  }
  __syncthreads();
  if (threadIdx.x >= kTop + kBottom) return;
  float total = 0.0f;
  for (int warp = 0; warp < kWarps; ++warp) total += partial[threadIdx.x][warp];
  bool of_top = threadIdx.x < kTop;
  atomicAdd(of_top ? da + blockIdx.y * kTop + threadIdx.x : db + blockIdx.y * kBottom + threadIdx.x - kTop, total);
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> backward(
    torch::Tensor grad, torch::Tensor x, torch::Tensor numerator, torch::Tensor denominator) {
  auto dx = torch::empty_like(x);
  auto da = torch::zeros_like(numerator);
  auto db = torch::zeros_like(denominator);
  int share = x.size(1) / kGroups;
  int64_t elements = x.size(0) * share;
  int64_t blocks = std::min<int64_t>((elements + kThreads - 1) / kThreads, 64);
  rational_backward_kernel<<<dim3(blocks, kGroups), kThreads>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), numerator.data_ptr<float>(), denominator.data_ptr<float>(),
      dx.data_ptr<float>(), da.data_ptr<float>(), db.data_ptr<float>(), elements, share);
  return {dx, da, db};
}

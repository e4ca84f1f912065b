// Neighbourhood attention along a sequence: one warp per query, a lane per neighbour; windows shift inward at the ends.
#include <torch/extension.h>

constexpr int kWarps = 4;
constexpr int kParts = 4;  // widths up to 128

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

// What a warp keeps of one query: the largest score so far, and about it the sum of exponentials and weighted values.
struct Running {
  float most = -INFINITY;
  float sum = 0.0f;
  float values[kParts] = {};  // lane l holds elements l, l + 32, ...
};

// Take in the scores of 32 keys, one per lane; -INFINITY leaves a key out. `row` is where the lane's value begins.
__device__ void take(Running& run, float score, const float* v, int64_t row, int width) {
  float most = fmaxf(run.most, warp_max(score));
  if (most == -INFINITY) return;
  float share = expf(score - most);
  float shrink = expf(run.most - most);
  run.most = most;
  run.sum = run.sum * shrink + warp_sum(share);
  for (int part = 0; part < kParts; ++part) run.values[part] *= shrink;
  for (int key = 0; key < 32; ++key) {
    float weight = __shfl_sync(0xffffffffu, share, key);
    int64_t from = __shfl_sync(0xffffffffu, row, key);
    if (weight == 0.0f) continue;
    for (int part = 0; part < kParts; ++part) {
      int at = threadIdx.x + 32 * part;
      if (at < width) run.values[part] += weight * v[from + at];
    }
  }
}

__device__ float dot(const float* a, const float* b, int width) {
  float total = 0.0f;
  for (int at = 0; at < width; ++at) total += a[at] * b[at];
  return total;
}

__device__ void store(const Running& run, float* y, int width) {
  for (int part = 0; part < kParts; ++part) {
    int at = threadIdx.x + 32 * part;
    if (at < width) y[at] = run.values[part] / run.sum;
  }
}

constexpr int kWindow = 13;

__global__ void attention_kernel(
    const float* q, const float* k, const float* v, float* y, int64_t queries, int length, int width, float scale) {
  int64_t query = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (query >= queries) return;
  int i = query % length;
  int first = min(max(i - kWindow / 2, 0), length - kWindow);
  bool inside = threadIdx.x < kWindow;
  int64_t row = (query - i + first + (inside ? threadIdx.x : 0)) * width;
  Running run;
  take(run, inside ? dot(q + query * width, k + row, width) * scale : -INFINITY, v, row, width);
  store(run, y + query * width, width);
}

torch::Tensor forward(torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  auto y = torch::empty_like(q);
  int length = q.size(1), width = q.size(2);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  TORCH_CHECK(length >= kWindow, "the sequence is shorter than the window");
  int64_t queries = q.size(0) * length;
  attention_kernel<<<(queries + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), y.data_ptr<float>(), queries, length, width,
      rsqrtf(static_cast<float>(width)));
  return y;
}

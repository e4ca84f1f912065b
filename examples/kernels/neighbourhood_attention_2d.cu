// Neighbourhood attention on an image: one warp per pixel takes its 49 neighbours in two rounds of 32 lanes.
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

constexpr int kWindow = 7;

__global__ void attention_kernel(
    const float* q, const float* k, const float* v, float* y, int64_t queries, int rows, int cols, int width,
    float scale) {
  int64_t query = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (query >= queries) return;
  int64_t image = query / (rows * cols) * rows * cols;
  int pixel = query % (rows * cols);
  int top = min(max(pixel / cols - kWindow / 2, 0), rows - kWindow);
  int left = min(max(pixel % cols - kWindow / 2, 0), cols - kWindow);
  Running run;
  for (int start = 0; start < kWindow * kWindow; start += 32) {
    bool inside = start + threadIdx.x < kWindow * kWindow;
    int near = inside ? start + threadIdx.x : 0;
    int64_t row = (image + (top + near / kWindow) * cols + left + near % kWindow) * width;
    take(run, inside ? dot(q + query * width, k + row, width) * scale : -INFINITY, v, row, width);
  }
  store(run, y + query * width, width);
}

torch::Tensor forward(torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  auto y = torch::empty_like(q);
  int rows = q.size(1), cols = q.size(2), width = q.size(3);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  TORCH_CHECK(rows >= kWindow && cols >= kWindow, "the image is smaller than the window");
  int64_t queries = q.size(0) * rows * cols;
  attention_kernel<<<(queries + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), y.data_ptr<float>(), queries, rows, cols, width,
      rsqrtf(static_cast<float>(width)));
  return y;
}

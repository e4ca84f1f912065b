// Causal attention with four query heads for each key-value head: the heads index the same keys, nothing is copied.
#include <torch/extension.h>

constexpr int kWarps = 4;
constexpr int kParts = 4;  // widths up to 128
constexpr int kThreads = 32 * kWarps;

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

// Take in the scores of 32 keys, one per lane; -INFINITY leaves a key out. `rows` are their values, `width` apart.
__device__ void take(Running& run, float score, const float* rows, int width) {
  float most = fmaxf(run.most, warp_max(score));
  if (most == -INFINITY) return;
  float share = expf(score - most);
  float shrink = expf(run.most - most);
  run.most = most;
  run.sum = run.sum * shrink + warp_sum(share);
  for (int part = 0; part < kParts; ++part) run.values[part] *= shrink;
  for (int key = 0; key < 32; ++key) {
    float weight = __shfl_sync(0xffffffffu, share, key);
    for (int part = 0; part < kParts; ++part) {
      int at = threadIdx.x + 32 * part;
      if (at < width) run.values[part] += weight * rows[key * width + at];
    }
  }
}

constexpr int kShare = 4;  // query heads per key-value head

__global__ void attention_kernel(
    const float* q, const float* k, const float* v, float* y, int length, int width, float scale) {
  extern __shared__ float shared[];
  float* keys = shared;                     // 32 rows, one element more apart than they are wide
  float* values = keys + 32 * (width + 1);  // 32 rows
  float* query = values + 32 * width + threadIdx.y * width;  // one row per warp
  int i = blockIdx.x * kWarps + threadIdx.y;
  int thread = threadIdx.y * 32 + threadIdx.x;
  int64_t query_row = (static_cast<int64_t>(blockIdx.y) * length + i) * width;
  int64_t key_rows = static_cast<int64_t>(blockIdx.y / kShare) * length * width;
  for (int at = threadIdx.x; at < width; at += 32) query[at] = i < length ? q[query_row + at] : 0.0f;
  Running run;
  int last = min(length, static_cast<int>(blockIdx.x + 1) * kWarps);  // behind the block's last query
  for (int start = 0; start < last; start += 32) {
    __syncthreads();
    for (int e = thread; e < 32 * width; e += kThreads) {
      int row = e / width, at = e % width;
      bool inside = start + row < length;
      keys[row * (width + 1) + at] = inside ? k[key_rows + static_cast<int64_t>(start) * width + e] : 0.0f;
      values[e] = inside ? v[key_rows + static_cast<int64_t>(start) * width + e] : 0.0f;
    }
    __syncthreads();
    int j = start + threadIdx.x;
    float score = -INFINITY;
    if (i < length && j < length && j <= i) {
      float dot = 0.0f;
      for (int at = 0; at < width; ++at) dot += query[at] * keys[threadIdx.x * (width + 1) + at];
      score = dot * scale;
    }
    take(run, score, values, width);
  }
  if (i >= length) return;
  for (int part = 0; part < kParts; ++part) {
    int at = threadIdx.x + 32 * part;
    if (at < width) y[query_row + at] = run.values[part] / run.sum;
  }
}

torch::Tensor forward(torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  auto y = torch::empty_like(q);
  int heads = q.size(0), length = q.size(1), width = q.size(2);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  int shared = (32 * (2 * width + 1) + kWarps * width) * sizeof(float);
  dim3 grid((length + kWarps - 1) / kWarps, heads);
  attention_kernel<<<grid, dim3(32, kWarps), shared>>>(
      q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), y.data_ptr<float>(), length, width,
      rsqrtf(static_cast<float>(width)));
  return y;
}

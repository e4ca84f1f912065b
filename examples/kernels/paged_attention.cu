// Decoding over a paged cache: one warp per sequence and head follows the block table, 32 tokens (two pages) a round.
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

constexpr int kPage = 16;

__global__ void attention_kernel(
    const float* q, const float* key_pages, const float* value_pages, const int64_t* table, const int64_t* last,
    float* y, int sequences, int heads, int blocks, int width, float scale) {
  int query = blockIdx.x * kWarps + threadIdx.y;
  if (query >= sequences * heads) return;
  int sequence = query / heads, head = query % heads;
  int tokens = last[sequence] + 1;
  Running run;
  for (int start = 0; start < tokens; start += 32) {
    int token = start + threadIdx.x;
    float score = -INFINITY;
    int64_t row = 0;
    if (token < tokens) {
      int64_t page = table[static_cast<int64_t>(sequence) * blocks + token / kPage];
      row = ((page * kPage + token % kPage) * heads + head) * width;
      score = dot(q + static_cast<int64_t>(query) * width, key_pages + row, width) * scale;
    }
    take(run, score, value_pages, row, width);
  }
  store(run, y + static_cast<int64_t>(query) * width, width);
}

torch::Tensor forward(
    torch::Tensor q, torch::Tensor key_pages, torch::Tensor value_pages, torch::Tensor table, torch::Tensor last) {
  auto y = torch::empty_like(q);
  int sequences = q.size(0), heads = q.size(1), width = q.size(2), blocks = table.size(1);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  attention_kernel<<<(sequences * heads + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      q.data_ptr<float>(), key_pages.data_ptr<float>(), value_pages.data_ptr<float>(), table.data_ptr<int64_t>(),
      last.data_ptr<int64_t>(), y.data_ptr<float>(), sequences, heads, blocks, width,
      rsqrtf(static_cast<float>(width)));
  return y;
}

// Decoding over merged entries: the logarithm of an entry's count is added to its score.
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

// Merge what the warps of a block found into the first warp's.
__device__ void merge(Running& run) {
  __shared__ float mosts[kWarps], sums[kWarps], values[kWarps][32 * kParts];
  if (threadIdx.x == 0) {
    mosts[threadIdx.y] = run.most;
    sums[threadIdx.y] = run.sum;
  }
  for (int part = 0; part < kParts; ++part) values[threadIdx.y][threadIdx.x + 32 * part] = run.values[part];
  __syncthreads();
  if (threadIdx.y > 0) return;
  for (int warp = 1; warp < kWarps; ++warp) {
    if (mosts[warp] == -INFINITY) continue;  // it had no keys
    float most = fmaxf(run.most, mosts[warp]);
    float shrink = expf(run.most - most), other = expf(mosts[warp] - most);
    run.sum = run.sum * shrink + sums[warp] * other;
    for (int part = 0; part < kParts; ++part) {
      run.values[part] = run.values[part] * shrink + values[warp][threadIdx.x + 32 * part] * other;
    }
    run.most = most;
  }
}

__global__ void attention_kernel(
    const float* q, const float* k, const float* v, const float* count, float* y, int length, int width, float scale) {
  int64_t query = static_cast<int64_t>(blockIdx.x) * width;
  Running run;
  for (int start = threadIdx.y * 32; start < length; start += 32 * kWarps) {
    int j = start + threadIdx.x;
    bool inside = j < length;
    int64_t at = static_cast<int64_t>(blockIdx.x) * length + (inside ? j : 0);
    float score = inside ? dot(q + query, k + at * width, width) * scale + logf(count[at]) : -INFINITY;
    take(run, score, v, at * width, width);
  }
  merge(run);
  if (threadIdx.y > 0) return;
  for (int part = 0; part < kParts; ++part) {
    int at = threadIdx.x + 32 * part;
    if (at < width) y[query + at] = run.values[part] / run.sum;
  }
}

torch::Tensor forward(torch::Tensor q, torch::Tensor k, torch::Tensor v, torch::Tensor count) {
  auto y = torch::empty_like(q);
  int queries = q.size(0), width = q.size(1), length = k.size(1);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  attention_kernel<<<queries, dim3(32, kWarps)>>>(
      q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), count.data_ptr<float>(), y.data_ptr<float>(),
      length, width,
      rsqrtf(static_cast<float>(width)));
  return y;
}

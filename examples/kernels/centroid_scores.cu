// Estimated softmax shares of clusters: one warp per query, in three passes over its row of scores, which stays in L1.
#include <torch/extension.h>

constexpr int kWarps = 4;

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

__global__ void centroid_kernel(
    const float* q, const float* centroids, const float* size, float* y, int64_t rows, int queries, int clusters,
    int width, float scale) {
  int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (row >= rows) return;
  int64_t head = row / queries * clusters;
  const float* query = q + row * width;
  float* scores = y + row * clusters;
  float most = -INFINITY;
  for (int c = threadIdx.x; c < clusters; c += 32) {
    const float* centroid = centroids + (head + c) * width;
    float dot = 0.0f;
    for (int at = 0; at < width; ++at) dot += query[at] * centroid[at];
    scores[c] = dot * scale;
    most = fmaxf(most, scores[c]);
  }
  most = warp_max(most);
  float total = 0.0f;
  for (int c = threadIdx.x; c < clusters; c += 32) {
    scores[c] = expf(scores[c] - most);
    total += size[head + c] * scores[c];
  }
  float inverse = 1.0f / warp_sum(total);
  for (int c = threadIdx.x; c < clusters; c += 32) scores[c] *= inverse;
}

torch::Tensor forward(torch::Tensor q, torch::Tensor centroids, torch::Tensor size) {
  int heads = q.size(0), queries = q.size(1), width = q.size(2), clusters = centroids.size(1);
  auto y = torch::empty({heads, queries, clusters}, q.options());
  int64_t rows = static_cast<int64_t>(heads) * queries;
  centroid_kernel<<<(rows + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      q.data_ptr<float>(), centroids.data_ptr<float>(), size.data_ptr<float>(), y.data_ptr<float>(), rows, queries,
      clusters, width, rsqrtf(static_cast<float>(width)));
  return y;
}

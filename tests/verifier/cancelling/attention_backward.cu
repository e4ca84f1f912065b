// Gradients of attention in two kernels of one warp per row. The first computes a query's softmax anew, keeps its
// log-sum-exp and the product of result and gradient, and gives dq; the second goes over the queries for one key and
// gives dk and dv. No atomics: every row is written by one warp.
#include <torch/extension.h>

#include <tuple>

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

__device__ float dot(const float* a, const float* b, int width) {
  float total = 0.0f;
  for (int at = 0; at < width; ++at) total += a[at] * b[at];
  return total;
}

// Add `weight` of every lane times the row that starts at `first` + lane, for `count` lanes.
__device__ void add_rows(float (&sums)[kParts], float weight, const float* rows, int64_t first, int count, int width) {
  for (int j = 0; j < count; ++j) {
    float one = __shfl_sync(0xffffffffu, weight, j);
    for (int part = 0; part < kParts; ++part) {
      int at = threadIdx.x + 32 * part;
      if (at < width) sums[part] += one * rows[(first + j) * width + at];
    }
  }
}

__device__ void store(const float (&sums)[kParts], float factor, float* row, int width) {
  for (int part = 0; part < kParts; ++part) {
    int at = threadIdx.x + 32 * part;
    if (at < width) row[at] = sums[part] * factor;
  }
}

__global__ void query_kernel(
    const float* grad, const float* q, const float* k, const float* v, const float* output, float* dq, float* log_sums,
    float* products, int64_t rows, int length, int width, float scale) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (i >= rows) return;
  int64_t head = i / length * length;
  float most = -INFINITY;
  for (int j = threadIdx.x; j < length; j += 32) {
    most = fmaxf(most, dot(q + i * width, k + (head + j) * width, width) * scale);
  }
  most = warp_max(most);
  float total = 0.0f;
  for (int j = threadIdx.x; j < length; j += 32) {
    total += expf(dot(q + i * width, k + (head + j) * width, width) * scale - most);
  }
  float log_sum = most + logf(warp_sum(total));
  float product = 0.0f;
  for (int at = threadIdx.x; at < width; at += 32) product += grad[i * width + at] * output[i * width + at];
  product = warp_sum(product);
  float sums[kParts] = {};
  for (int start = 0; start < length; start += 32) {
    int64_t j = head + start + threadIdx.x;
    float slope = 0.0f;
    if (start + threadIdx.x < length) {
      float share = expf(dot(q + i * width, k + j * width, width) * scale - log_sum);
      slope = share * (dot(grad + i * width, v + j * width, width) - product);
    }
    add_rows(sums, slope, k, head + start, min(32, length - start), width);
  }
  store(sums, scale, dq + i * width, width);
  if (threadIdx.x == 0) {
    log_sums[i] = log_sum;
    products[i] = product;
  }
}

__global__ void key_kernel(
    const float* grad, const float* q, const float* k, const float* v, const float* log_sums, const float* products,
    float* dk, float* dv, int64_t rows, int length, int width, float scale) {
  int64_t j = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (j >= rows) return;
  int64_t head = j / length * length;
  float key_sums[kParts] = {}, value_sums[kParts] = {};
  for (int start = 0; start < length; start += 32) {
    int64_t i = head + start + threadIdx.x;
    float share = 0.0f, slope = 0.0f;
    if (start + threadIdx.x < length) {
      share = expf(dot(q + i * width, k + j * width, width) * scale - log_sums[i]);
      slope = share * (dot(grad + i * width, v + j * width, width) - products[i]);
    }
    add_rows(key_sums, slope, q, head + start, min(32, length - start), width);
    add_rows(value_sums, share, grad, head + start, min(32, length - start), width);
  }
  store(key_sums, scale, dk + j * width, width);
  store(value_sums, 1.0f, dv + j * width, width);
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> backward(
    torch::Tensor grad, torch::Tensor q, torch::Tensor k, torch::Tensor v, torch::Tensor output) {
  auto dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
  int length = q.size(1), width = q.size(2);
  TORCH_CHECK(width <= 32 * kParts, "heads of more than 128 elements are not supported");
  int64_t rows = q.size(0) * length;
  auto log_sums = torch::empty({rows}, q.options()), products = torch::empty({rows}, q.options());
  float scale = rsqrtf(static_cast<float>(width));
  int64_t blocks = (rows + kWarps - 1) / kWarps;
  query_kernel<<<blocks, dim3(32, kWarps)>>>(
      grad.data_ptr<float>(), q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), output.data_ptr<float>(),
      dq.data_ptr<float>(), log_sums.data_ptr<float>(), products.data_ptr<float>(), rows, length, width, scale);
  key_kernel<<<blocks, dim3(32, kWarps)>>>(
      grad.data_ptr<float>(), q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), log_sums.data_ptr<float>(),
      products.data_ptr<float>(), dk.data_ptr<float>(), dv.data_ptr<float>(), rows, length, width, scale);
  return {dq, dk, dv};
}

#include <torch/extension.h>
#include <ATen/cuda/CUDAContext.h>
#include <cmath>
#include <limits>

template <typename scalar_t, int HEAD_DIM>
__global__ void attention(const scalar_t* __restrict__ q, const scalar_t* __restrict__ k, const scalar_t* __restrict__ v,
                          scalar_t* __restrict__ out, int length, float scale) {
  const int query = blockIdx.x, lane = threadIdx.x;
  const size_t base = static_cast<size_t>(blockIdx.y) * length * HEAD_DIM;
  constexpr int PER_LANE = HEAD_DIM / 32;
  float acc[PER_LANE] = {0.f}, own[PER_LANE];
  for (int d = 0; d < PER_LANE; ++d) own[d] = static_cast<float>(q[base + query * HEAD_DIM + d * 32 + lane]) * scale;
  float best = -std::numeric_limits<float>::infinity(), total = 0.f;
  for (int key = 0; key <= query; ++key) {
    float score = 0.f;
    for (int d = 0; d < PER_LANE; ++d) score += own[d] * static_cast<float>(k[base + key * HEAD_DIM + d * 32 + lane]);
    for (int m = 16; m; m >>= 1) score += __shfl_xor_sync(0xffffffffu, score, m);
    const float next = fmaxf(best, score), keep = __expf(best - next), weight = __expf(score - next);
    total = total * keep + weight;
    for (int d = 0; d < PER_LANE; ++d) acc[d] = acc[d] * keep + weight * static_cast<float>(v[base + key * HEAD_DIM + d * 32 + lane]);
    best = next;
  }
  for (int d = 0; d < PER_LANE; ++d) out[base + query * HEAD_DIM + d * 32 + lane] = static_cast<scalar_t>(acc[d] / total);
}

torch::Tensor forward(torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  TORCH_CHECK(q.dim() == 4 && q.size(3) == 64, "expected [batch, heads, length, 64], got ", q.sizes());
  TORCH_CHECK(q.sizes() == k.sizes() && k.sizes() == v.sizes(), "q, k and v differ in shape");
  auto out = torch::empty_like(q);
  const dim3 grid(q.size(2), q.size(0) * q.size(1));
  const float scale = 1.0f / std::sqrt(static_cast<float>(q.size(3)));
  AT_DISPATCH_REDUCED_FLOATING_TYPES(q.scalar_type(), "attention", [&] {
    attention<scalar_t, 64><<<grid, 32, 0, at::cuda::getCurrentCUDAStream()>>>(q.data_ptr<scalar_t>(), k.data_ptr<scalar_t>(), v.data_ptr<scalar_t>(),
                                                                              out.data_ptr<scalar_t>(), q.size(2), scale);
  });
  return out;
}

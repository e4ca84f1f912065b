// Eight best experts per token by the logits (the sigmoid keeps their order), with normalised sigmoid weights.
#include <torch/extension.h>

#include <tuple>

constexpr int kWarps = 4;
constexpr int kChosen = 8;

// Whether (value, index) comes before (other, other_index): larger first, among equals the lower index.
__device__ bool before(float value, int index, float other, int other_index) {
  return value > other || (value == other && index < other_index);
}

__global__ void routing_kernel(const float* logits, float* weights, int64_t* chosen, int tokens, int experts) {
  int token = blockIdx.x * kWarps + threadIdx.y;
  if (token >= tokens) return;
  const float* row = logits + static_cast<int64_t>(token) * experts;
  float values[kChosen];
  float last = INFINITY;
  int last_index = -1;
  for (int place = 0; place < kChosen; ++place) {
    float best = -INFINITY;
    int best_index = INT_MAX;
    for (int i = threadIdx.x; i < experts; i += 32) {
      if (before(last, last_index, row[i], i) && before(row[i], i, best, best_index)) {
        best = row[i];
        best_index = i;
      }
    }
    for (int offset = 16; offset > 0; offset /= 2) {
      float other = __shfl_xor_sync(0xffffffffu, best, offset);
      int other_index = __shfl_xor_sync(0xffffffffu, best_index, offset);
      if (before(other, other_index, best, best_index)) {
        best = other;
        best_index = other_index;
      }
    }
    values[place] = last = best;
    last_index = best_index;
    if (threadIdx.x == 0) chosen[static_cast<int64_t>(token) * kChosen + place] = best_index;
  }
  if (threadIdx.x > 0) return;
  float total = 1e-20f;
  for (int place = 0; place < kChosen; ++place) {
    values[place] = 1.0f / (1.0f + expf(-values[place]));
    total += values[place];
  }
  for (int place = 0; place < kChosen; ++place) weights[token * kChosen + place] = 2.5f * values[place] / total;
}

std::tuple<torch::Tensor, torch::Tensor> forward(torch::Tensor logits) {
  int tokens = logits.size(0), experts = logits.size(1);
  auto weights = torch::empty({tokens, kChosen}, logits.options());
  auto chosen = torch::empty({tokens, kChosen}, logits.options().dtype(torch::kLong));
  routing_kernel<<<(tokens + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      logits.data_ptr<float>(), weights.data_ptr<float>(), chosen.data_ptr<int64_t>(), tokens, experts);
  return {weights, chosen};
}

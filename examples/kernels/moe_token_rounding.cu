// Tokens per expert, rounded counts and offsets. The first kernel counts one expert per block; the second scans the
// rounded counts with a single warp, 32 experts a round.
#include <torch/extension.h>

#include <tuple>

constexpr int kThreads = 128;
constexpr int64_t kTile = 128;

__global__ void count_kernel(const bool* chosen, int64_t* counts, int64_t* rounded, int tokens, int experts) {
  int count = 0;
  for (int start = 0; start < tokens; start += kThreads) {
    int token = start + threadIdx.x;
    bool here = token < tokens && chosen[static_cast<int64_t>(token) * experts + blockIdx.x];
    count += __syncthreads_count(here);
  }
  if (threadIdx.x > 0) return;
  counts[blockIdx.x] = count;
  rounded[blockIdx.x] = (count + kTile / 2) / kTile * kTile;
}

__global__ void offset_kernel(const int64_t* rounded, int64_t* offsets, int experts) {
  int64_t carry = 0;
  for (int start = 0; start < experts; start += 32) {
    int expert = start + threadIdx.x;
    int64_t own = expert < experts ? rounded[expert] : 0;
    int64_t sum = own;
    for (int offset = 1; offset < 32; offset *= 2) {
      int64_t below = __shfl_up_sync(0xffffffffu, sum, offset);
      if (threadIdx.x >= offset) sum += below;
    }
    if (expert < experts) offsets[expert] = carry + sum - own;
    carry += __shfl_sync(0xffffffffu, sum, 31);
  }
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> forward(torch::Tensor chosen) {
  int tokens = chosen.size(0), experts = chosen.size(1);
  auto options = chosen.options().dtype(torch::kLong);
  auto counts = torch::empty({experts}, options);
  auto rounded = torch::empty({experts}, options);
  auto offsets = torch::empty({experts}, options);
  count_kernel<<<experts, kThreads>>>(
      chosen.data_ptr<bool>(), counts.data_ptr<int64_t>(), rounded.data_ptr<int64_t>(), tokens, experts);
  offset_kernel<<<1, 32>>>(rounded.data_ptr<int64_t>(), offsets.data_ptr<int64_t>(), experts);
  return {counts, rounded, offsets};
}

// Monte Carlo estimate of pi with a xorshift generator per thread; hits are counted by ballots and one atomic per warp.
#include "check.h"

__host__ __device__ inline unsigned xorshift(unsigned& state) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

__host__ __device__ inline bool hits(unsigned& state) {
  const float x = xorshift(state) * 0x1p-32f, y = xorshift(state) * 0x1p-32f;
  return x * x + y * y < 1.0f;
}

__global__ void sample(unsigned long long* total, int rounds) {
  unsigned state = 2463534242u + 7919u * (blockIdx.x * blockDim.x + threadIdx.x), found = 0;
  for (int round = 0; round < rounds; ++round) {
    const unsigned lanes = __ballot_sync(0xffffffffu, hits(state));
    if (threadIdx.x % 32 == 0) found += __popc(lanes);
  }
  if (threadIdx.x % 32 == 0) atomicAdd(total, static_cast<unsigned long long>(found));
}

int main() {
  constexpr int blocks = 8, threads = 128, rounds = 150;
  unsigned long long count = 0;
  for (int thread = 0; thread < blocks * threads; ++thread) {
    unsigned state = 2463534242u + 7919u * thread;
    for (int round = 0; round < rounds; ++round) count += hits(state);
  }
  const OnCard<unsigned long long> total(std::vector<unsigned long long>{0});
  sample<<<blocks, threads>>>(total, rounds);
  // A product and sum fused on one side only can move single points over the circle.
  expect("hits", total.read(), {count}, 1e-4);
  const double pi = 4.0 * static_cast<double>(count) / (blocks * threads * rounds);
  return std::fabs(pi - 3.14159) < 0.02 ? 0 : 1;
}

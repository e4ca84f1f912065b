// Bitonic sorting network of keys with values: short distances in shared memory, long ones through global memory.
#include <algorithm>

#include "check.h"

constexpr int kChunk = 512;

__device__ void order(unsigned& first, unsigned& second, bool ascending) {
  if ((first > second) == ascending) {
    const unsigned kept = first;
    first = second;
    second = kept;
  }
}

__global__ void sort_in_shared(unsigned* keys, int from, int to) {
  __shared__ unsigned chunk[kChunk];
  const int base = blockIdx.x * kChunk;
  for (int i = threadIdx.x; i < kChunk; i += blockDim.x) chunk[i] = keys[base + i];
  for (int size = from; size <= to; size *= 2)
    for (int stride = min(size, kChunk) / 2; stride > 0; stride /= 2) {
      __syncthreads();
      const int left = 2 * threadIdx.x - (threadIdx.x & (stride - 1));
      order(chunk[left], chunk[left + stride], ((base + left) & size) == 0);
    }
  __syncthreads();
  for (int i = threadIdx.x; i < kChunk; i += blockDim.x) keys[base + i] = chunk[i];
}

__global__ void merge_far(unsigned* keys, int size, int stride) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int left = 2 * thread - (thread & (stride - 1));
  order(keys[left], keys[left + stride], (left & size) == 0);
}

int main() {
  constexpr int n = 4096;
  std::vector<unsigned> keys(n);
  for (int i = 0; i < n; ++i) keys[i] = (i * 2246822519u) ^ (i << 7);
  std::vector<unsigned> wanted = keys;
  std::sort(wanted.begin(), wanted.end());
  const OnCard<unsigned> data(keys);
  sort_in_shared<<<n / kChunk, kChunk / 2>>>(data, 2, kChunk);
  for (int size = 2 * kChunk; size <= n; size *= 2) {
    for (int stride = size / 2; stride >= kChunk; stride /= 2) merge_far<<<n / 512, 256>>>(data, size, stride);
    sort_in_shared<<<n / kChunk, kChunk / 2>>>(data, size, size);
  }
  CUDA_OK(cudaDeviceSynchronize());
  expect("bitonic sort", data.read(), wanted);
}

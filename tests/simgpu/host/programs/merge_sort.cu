// Bottom-up merge sort: each key finds its place in the other run by binary search; equal keys keep their order.
#include <algorithm>

#include "check.h"

// Keys of a run that come before `key`: all smaller ones, and equal ones of a run to its left.
__device__ int rank_in(const int* run, int length, int key, bool equal_first) {
  int low = 0, high = length;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (run[middle] < key || (equal_first && run[middle] == key)) low = middle + 1;
    else high = middle;
  }
  return low;
}

__global__ void merge_runs(const int* in, int* out, int n, int run) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int pair = i / (2 * run) * 2 * run;
  const bool right = i - pair >= run;
  const int other = right ? pair : pair + run;
  const int other_length = max(0, min(run, n - other));
  const int own_rank = i - (right ? pair + run : pair);
  out[pair + own_rank + rank_in(in + min(other, n), other_length, in[i], right)] = in[i];
}

int main() {
  constexpr int n = 3001;
  std::vector<int> keys(n);
  for (int i = 0; i < n; ++i) keys[i] = static_cast<int>((i * 40503u) % 977u) - 400;
  std::vector<int> wanted = keys;
  std::stable_sort(wanted.begin(), wanted.end());
  OnCard<int> first(keys), second(static_cast<size_t>(n));
  int *from = first, *to = second;
  for (int run = 1; run < n; run *= 2) {
    merge_runs<<<(n + 127) / 128, 128>>>(from, to, n, run);
    std::swap(from, to);
  }
  expect("merge sort", from == first.data ? first.read() : second.read(), wanted);
}

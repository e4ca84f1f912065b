// Row-wise sparse product with a hash table in shared memory, as in SMASH: a block gathers one row of the result. Keys
// are columns; open addressing finds each its place. At the end the dense row takes up the table.
#include <torch/extension.h>

constexpr int kThreads = 64;
constexpr int kEmpty = -1;

// Place of `key` in the table, which is claimed if it is new. The table is at most half full.
__device__ int place_of(int key, int* keys, int mask) {
  int place = key * 0x9E3779B1u & mask;
  while (true) {
    int found = atomicCAS(keys + place, kEmpty, key);
    if (found == kEmpty || found == key) return place;
    place = (place + 1) & mask;
  }
}

__global__ void spgemm_kernel(
    const float* a_value, const int64_t* a_col, const float* b_value, const int64_t* b_col, const float* base, float* y,
    int a_slots, int b_slots, int cols, int table) {
  extern __shared__ int keys[];
  float* sums = reinterpret_cast<float*>(keys + table);
  int64_t row = blockIdx.x;
  for (int i = threadIdx.x; i < table; i += kThreads) {
    keys[i] = kEmpty;
    sums[i] = 0.0f;
  }
  for (int i = threadIdx.x; i < cols; i += kThreads) y[row * cols + i] = base[row * cols + i];
  __syncthreads();
  for (int i = threadIdx.x; i < a_slots * b_slots; i += kThreads) {
    int64_t of_a = row * a_slots + i / b_slots;
    int64_t of_b = a_col[of_a] * b_slots + i % b_slots;
    int place = place_of(b_col[of_b], keys, table - 1);
    atomicAdd(sums + place, a_value[of_a] * b_value[of_b]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < table; i += kThreads) {
    if (keys[i] != kEmpty) y[row * cols + keys[i]] += sums[i];
  }
}

torch::Tensor forward(
    torch::Tensor a_value, torch::Tensor a_col, torch::Tensor b_value, torch::Tensor b_col, torch::Tensor base) {
  auto y = torch::empty_like(base);
  int rows = a_value.size(0), a_slots = a_value.size(1), b_slots = b_value.size(1), cols = base.size(1);
  int table = 2;
  while (table < 2 * a_slots * b_slots) table *= 2;
  TORCH_CHECK(table <= 4096, "rows with more than 2048 products do not fit the table");
  spgemm_kernel<<<rows, kThreads, table * (sizeof(int) + sizeof(float))>>>(
      a_value.data_ptr<float>(), a_col.data_ptr<int64_t>(), b_value.data_ptr<float>(), b_col.data_ptr<int64_t>(),
      base.data_ptr<float>(), y.data_ptr<float>(), a_slots, b_slots, cols, table);
  return y;
}

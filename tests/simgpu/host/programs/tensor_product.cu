// Matrix product on tensor cores: half inputs, float sums, tiles staged in shared memory by cp.async.
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <mma.h>

#include "check.h"

constexpr int kSize = 64, kTile = 16;

__global__ void product(const half* a, const half* b, float* c) {
  using namespace nvcuda::wmma;
  __shared__ alignas(32) half tile_a[kTile * kTile], tile_b[kTile * kTile];
  fragment<matrix_a, kTile, kTile, kTile, half, row_major> left;
  fragment<matrix_b, kTile, kTile, kTile, half, row_major> right;
  fragment<accumulator, kTile, kTile, kTile, float> sum;
  fill_fragment(sum, 0.0f);
  const int row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  for (int k = 0; k < kSize; k += kTile) {
    const int line = threadIdx.x / 2, part = threadIdx.x % 2 * 8;
    __pipeline_memcpy_async(&tile_a[line * kTile + part], &a[(row + line) * kSize + k + part], 16);
    __pipeline_memcpy_async(&tile_b[line * kTile + part], &b[(k + line) * kSize + column + part], 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncwarp();
    load_matrix_sync(left, tile_a, kTile);
    load_matrix_sync(right, tile_b, kTile);
    mma_sync(sum, left, right, sum);
    __syncwarp();
  }
  store_matrix_sync(c + row * kSize + column, sum, kSize, mem_row_major);
}

int main() {
  std::vector<half> a, b;
  for (float value : random_floats(kSize * kSize, 1)) a.push_back(__float2half(value));
  for (float value : random_floats(kSize * kSize, 2)) b.push_back(__float2half(value));
  std::vector<float> wanted(kSize * kSize);
  for (int i = 0; i < kSize * kSize; ++i)
    for (int k = 0; k < kSize; ++k)
      wanted[i] += __half2float(a[i / kSize * kSize + k]) * __half2float(b[k * kSize + i % kSize]);
  const OnCard<half> left(a), right(b);
  const OnCard<float> out(wanted.size());
  product<<<dim3(kSize / kTile, kSize / kTile), 32>>>(left, right, out);
  expect("product", out.read(), wanted, 1e-4);
}

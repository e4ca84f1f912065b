// Sum of each row in the raw form: a block of 128 threads per row.
extern "C" __global__ void row_sum(const float* x, float* y, int cols) {
  __shared__ float partial[4];
  const float* row = x + static_cast<long long>(blockIdx.x) * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 128) total += row[i];
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
}

// Each of 8 x 8 threads keeps 4 x 4 sums of a 32 x 32 tile in registers.
extern "C" __global__ void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float tile_a[kDepth][32];
  __shared__ float tile_b[kDepth][32];
  int first_row = blockIdx.y * 32;
  int first_col = blockIdx.x * 32;
  int lane = threadIdx.y * 8 + threadIdx.x;
  float sums[4][4] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int slot = lane; slot < kDepth * 32; slot += 64) {
      int depth = slot / 32;
      int place = slot % 32;
      bool in = start + depth < k;
      tile_a[depth][place] = in && first_row + place < m ? a[(first_row + place) * k + start + depth] : 0.0f;
      tile_b[depth][place] = in && first_col + place < n ? b[(start + depth) * n + first_col + place] : 0.0f;
    }
    __syncthreads();
    for (int depth = 0; depth < kDepth; ++depth) {
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
          sums[i][j] += tile_a[depth][threadIdx.y * 4 + i] * tile_b[depth][threadIdx.x * 4 + j];
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      int row = first_row + threadIdx.y * 4 + i;
      int col = first_col + threadIdx.x * 4 + j;
      if (row < m && col < n) c[row * n + col] = sums[i][j];
    }
  }
}

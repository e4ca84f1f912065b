// Transposes, matrix-vector and matrix products, sparse products.
#include <cuda_fp16.h>
#include <cuda_pipeline.h>

extern "C" __global__ void transpose_naive(const float* x, float* y, int rows, int columns) {
  int c = blockIdx.x * blockDim.x + threadIdx.x, r = blockIdx.y * blockDim.y + threadIdx.y;
  if (r < rows && c < columns) y[c * rows + r] = x[r * columns + c];
}

template <int PAD>
__device__ void transpose_tile(const float* x, float* y, int rows, int columns) {
  __shared__ float tile[32][32 + PAD];
  int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8)
    if (r + k < rows && c < columns) tile[threadIdx.y + k][threadIdx.x] = x[(r + k) * columns + c];
  __syncthreads();
  c = blockIdx.y * 32 + threadIdx.x, r = blockIdx.x * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8)
    if (r + k < columns && c < rows) y[(r + k) * rows + c] = tile[threadIdx.x][threadIdx.y + k];
}

extern "C" __global__ void transpose_tiled(const float* x, float* y, int rows, int columns) {
  transpose_tile<0>(x, y, rows, columns);
}

extern "C" __global__ void transpose_padded(const float* x, float* y, int rows, int columns) {
  transpose_tile<1>(x, y, rows, columns);
}

// Columns of the tile are exclusive-ored with the row, so that neither direction conflicts in the banks.
extern "C" __global__ void transpose_swizzled(const double* x, double* y, int rows, int columns) {
  __shared__ double tile[16][16];
  int tx = threadIdx.x, ty = threadIdx.y, c = blockIdx.x * 16 + tx, r = blockIdx.y * 16 + ty;
  if (r < rows && c < columns) tile[ty][tx ^ ty] = x[r * columns + c];
  __syncthreads();
  c = blockIdx.y * 16 + tx, r = blockIdx.x * 16 + ty;
  if (r < columns && c < rows) y[r * rows + c] = tile[tx][ty ^ tx];
}

extern "C" __global__ void transpose_packs(const float4* x, float4* y, int rows, int columns) {
  int c = blockIdx.x * blockDim.x + threadIdx.x, r = blockIdx.y * blockDim.y + threadIdx.y;
  if (4 * r >= rows || 4 * c >= columns) return;
  float4 a = x[(4 * r) * columns / 4 + c], b = x[(4 * r + 1) * columns / 4 + c];
  float4 d = x[(4 * r + 2) * columns / 4 + c], e = x[(4 * r + 3) * columns / 4 + c];
  y[(4 * c) * rows / 4 + r] = make_float4(a.x, b.x, d.x, e.x);
  y[(4 * c + 1) * rows / 4 + r] = make_float4(a.y, b.y, d.y, e.y);
  y[(4 * c + 2) * rows / 4 + r] = make_float4(a.z, b.z, d.z, e.z);
  y[(4 * c + 3) * rows / 4 + r] = make_float4(a.w, b.w, d.w, e.w);
}

extern "C" __global__ void sgemv(const float* a, const float* x, float* y, int rows, int columns) {
  int r = blockIdx.x * blockDim.y + threadIdx.y;
  if (r >= rows) return;
  float v = 0;
  for (int i = threadIdx.x; i < columns; i += 32) v += a[r * columns + i] * x[i];
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
  if (threadIdx.x == 0) y[r] = v;
}

extern "C" __global__ void hgemv(const half2* a, const half2* x, half* y, int pairs) {
  half2 v = __float2half2_rn(0.f);
  for (int i = threadIdx.x; i < pairs; i += 32) v = __hfma2(a[blockIdx.x * pairs + i], x[i], v);
  float s = __low2float(v) + __high2float(v);
  for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(0xffffffffu, s, o);
  if (threadIdx.x == 0) y[blockIdx.x] = __float2half(s);
}

extern "C" __global__ void sgemm_naive(const float* a, const float* b, float* c, int m, int n, int k, float alpha, float beta) {
  int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= m || col >= n) return;
  float v = 0;
  for (int i = 0; i < k; i++) v += a[row * k + i] * b[i * n + col];
  c[row * n + col] = alpha * v + beta * c[row * n + col];
}

extern "C" __global__ void sgemm_tiled(const float* a, const float* b, float* c, int m, int n, int k) {
  extern __shared__ float pool[];
  float(*as)[16] = reinterpret_cast<float(*)[16]>(pool), (*bs)[17] = reinterpret_cast<float(*)[17]>(pool + 256);
  int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
  float v = 0;
  for (int t = 0; t < k; t += 16) {
    as[ty][tx] = row < m && t + tx < k ? a[row * k + t + tx] : 0;
    bs[ty][tx] = col < n && t + ty < k ? b[(t + ty) * n + col] : 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 16; i++) v = fmaf(as[ty][i], bs[i][tx], v);
    __syncthreads();
  }
  if (row < m && col < n) c[row * n + col] = v;
}

// 32 x 32 tiles, 64 threads, 4 x 4 results for each, guarded at the edges.
extern "C" __global__ void sgemm_registers(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float as[8][32], bs[8][32];
  int t = threadIdx.x, r0 = blockIdx.y * 32, c0 = blockIdx.x * 32, tr = t / 8 * 4, tc = t % 8 * 4;
  float acc[4][4] = {};
  for (int base = 0; base < k; base += 8) {
    for (int e = t; e < 256; e += 64) {
      int i = e % 8, j = e / 8;
      as[i][j] = r0 + j < m && base + i < k ? a[(r0 + j) * k + base + i] : 0;
      bs[e / 32][e % 32] = c0 + e % 32 < n && base + e / 32 < k ? b[(base + e / 32) * n + c0 + e % 32] : 0;
    }
    __syncthreads();
    for (int i = 0; i < 8; i++) {
      float ra[4], rb[4];
#pragma unroll
      for (int j = 0; j < 4; j++) ra[j] = as[i][tr + j], rb[j] = bs[i][tc + j];
#pragma unroll
      for (int p = 0; p < 4; p++)
#pragma unroll
        for (int q = 0; q < 4; q++) acc[p][q] += ra[p] * rb[q];
    }
    __syncthreads();
  }
#pragma unroll
  for (int p = 0; p < 4; p++)
#pragma unroll
    for (int q = 0; q < 4; q++)
      if (r0 + tr + p < m && c0 + tc + q < n) c[(r0 + tr + p) * n + c0 + tc + q] = acc[p][q];
}

// As above with float4 loads and two buffers; sizes are multiples of the tile.
extern "C" __global__ void sgemm_double_buffered(const float* a, const float* b, float* c, int n, int k) {
  __shared__ float as[2][8][32], bs[2][8][32];
  int t = threadIdx.x, r0 = blockIdx.y * 32, c0 = blockIdx.x * 32, tr = t / 8 * 4, tc = t % 8 * 4;
  int ar = t / 2, ac = t % 2 * 4, br = t / 8, bc = t % 8 * 4, now = 0;
  float acc[4][4] = {};
  auto stage = [&](int buffer, float4 va, float4 vb) {
    as[buffer][ac][ar] = va.x, as[buffer][ac + 1][ar] = va.y, as[buffer][ac + 2][ar] = va.z, as[buffer][ac + 3][ar] = va.w;
    *reinterpret_cast<float4*>(&bs[buffer][br][bc]) = vb;
  };
  auto load_a = [&](int base) { return *reinterpret_cast<const float4*>(&a[(r0 + ar) * k + base + ac]); };
  auto load_b = [&](int base) { return *reinterpret_cast<const float4*>(&b[(base + br) * n + c0 + bc]); };
  stage(0, load_a(0), load_b(0));
  __syncthreads();
  for (int base = 0; base < k; base += 8, now ^= 1) {
    bool more = base + 8 < k;
    float4 va, vb;
    if (more) va = load_a(base + 8), vb = load_b(base + 8);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float4 ra = *reinterpret_cast<float4*>(&as[now][i][tr]), rb = *reinterpret_cast<float4*>(&bs[now][i][tc]);
      float la[4] = {ra.x, ra.y, ra.z, ra.w}, lb[4] = {rb.x, rb.y, rb.z, rb.w};
#pragma unroll
      for (int p = 0; p < 4; p++)
#pragma unroll
        for (int q = 0; q < 4; q++) acc[p][q] = fmaf(la[p], lb[q], acc[p][q]);
    }
    if (more) stage(now ^ 1, va, vb);
    __syncthreads();
  }
#pragma unroll
  for (int p = 0; p < 4; p++)
    *reinterpret_cast<float4*>(&c[(r0 + tr + p) * n + c0 + tc]) = make_float4(acc[p][0], acc[p][1], acc[p][2], acc[p][3]);
}

// Three stages of asynchronous copies ahead of the product; 16 x 16 tiles.
extern "C" __global__ void sgemm_async(const float* a, const float* b, float* c, int n, int k) {
  __shared__ float as[3][16][16], bs[3][16][16];
  int tx = threadIdx.x, ty = threadIdx.y, t = ty * 16 + tx, row = blockIdx.y * 16, col = blockIdx.x * 16, tiles = k / 16;
  auto fetch = [&](int tile) {
    if (tile < tiles && t < 64) {
      int r = t / 4, q = t % 4 * 4;
      __pipeline_memcpy_async(&as[tile % 3][r][q], &a[(row + r) * k + tile * 16 + q], 16);
      __pipeline_memcpy_async(&bs[tile % 3][r][q], &b[(tile * 16 + r) * n + col + q], 16);
    }
    __pipeline_commit();
  };
  fetch(0);
  fetch(1);
  float v = 0;
  for (int tile = 0; tile < tiles; tile++) {
    fetch(tile + 2);
    __pipeline_wait_prior(2);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 16; i++) v += as[tile % 3][ty][i] * bs[tile % 3][i][tx];
    __syncthreads();
  }
  c[(row + ty) * n + col + tx] = v;
}

extern "C" __global__ void batched_small(const float* const* a, const float* const* b, float* const* c, int n) {
  extern __shared__ float s[];
  int t = threadIdx.y * n + threadIdx.x;
  s[t] = a[blockIdx.x][t];
  s[n * n + t] = b[blockIdx.x][t];
  __syncthreads();
  float v = 0;
  for (int i = 0; i < n; i++) v += s[threadIdx.y * n + i] * s[n * n + i * n + threadIdx.x];
  c[blockIdx.x][t] = v;
}

extern "C" __global__ void dgemm_strided(const double* a, const double* b, double* c, int m, int n, int k) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, z = blockIdx.z;
  if (i >= m * n) return;
  int r = i / n, q = i % n;
  double v = 0;
  for (int p = 0; p < k; p++) v += a[(z * m + r) * k + p] * b[(z * k + p) * n + q];
  c[z * m * n + i] = v;
}

extern "C" __global__ void igemm_dp4a(const int* a, const int* bt, int* c, int m, int n, int words) {
  int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= m || col >= n) return;
  int v = 0;
  for (int i = 0; i < words; i++) v = __dp4a(a[row * words + i], bt[col * words + i], v);
  c[row * n + col] = v;
}

extern "C" __global__ void spmv_scalar(const int* start, const int* column, const float* value, const float* x, float* y, int rows) {
  int r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= rows) return;
  float v = 0;
  for (int i = start[r]; i < start[r + 1]; i++) v += value[i] * x[column[i]];
  y[r] = v;
}

extern "C" __global__ void spmv_vector(const int* start, const int* column, const float* value, const float* x, float* y, int rows) {
  int r = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8;
  float v = 0;
  if (r < rows)
    for (int i = start[r] + lane; i < start[r + 1]; i += 8) v += value[i] * x[column[i]];
  for (int o = 4; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o, 8);
  if (r < rows && lane == 0) y[r] = v;
}

// One block solves L y = b, a column at a time.
extern "C" __global__ void solve_lower(const float* l, float* b, int n) {
  for (int j = 0; j < n; j++) {
    if (threadIdx.x == 0) b[j] /= l[j * n + j];
    __syncthreads();
    float v = b[j];
    for (int i = j + 1 + threadIdx.x; i < n; i += blockDim.x) b[i] -= l[i * n + j] * v;
    __syncthreads();
  }
}

extern "C" __global__ void cholesky(float* a, int n) {
  __shared__ float pivot;
  for (int k = 0; k < n; k++) {
    if (threadIdx.x == 0 && threadIdx.y == 0) pivot = a[k * n + k] = sqrtf(a[k * n + k]);
    __syncthreads();
    if (threadIdx.y == 0)
      for (int i = k + 1 + threadIdx.x; i < n; i += blockDim.x) a[i * n + k] /= pivot;
    __syncthreads();
    for (int i = k + 1 + threadIdx.y; i < n; i += blockDim.y)
      for (int j = k + 1 + threadIdx.x; j <= i; j += blockDim.x) a[i * n + j] -= a[i * n + k] * a[j * n + k];
    __syncthreads();
  }
}

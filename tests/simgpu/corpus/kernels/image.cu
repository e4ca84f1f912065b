// Convolutions, pooling, stencils, image filters.
#include <cuda_fp16.h>

#define X_INDEX (blockIdx.x * blockDim.x + threadIdx.x)
#define Y_INDEX (blockIdx.y * blockDim.y + threadIdx.y)

extern "C" __global__ void conv2d_direct(const float* x, const float* w, const float* bias, float* y, int in, int height,
                                         int width, int out, int size, int stride, int pad, int oh, int ow) {
  int c = X_INDEX, r = Y_INDEX, o = blockIdx.z % out, n = blockIdx.z / out;
  if (c >= ow || r >= oh) return;
  float v = bias[o];
  for (int i = 0; i < in; i++)
    for (int p = 0; p < size; p++)
      for (int q = 0; q < size; q++) {
        int yy = r * stride + p - pad, xx = c * stride + q - pad;
        if (yy >= 0 && yy < height && xx >= 0 && xx < width)
          v += x[((n * in + i) * height + yy) * width + xx] * w[((o * in + i) * size + p) * size + q];
      }
  y[((n * out + o) * oh + r) * ow + c] = v;
}

// The product of the weights with columns of the image that are formed on the fly.
extern "C" __global__ void conv2d_implicit(const float* x, const float* w, float* y, int in, int height, int width, int out) {
  __shared__ float ws[16][17], xs[16][17];
  int oh = height - 2, ow = width - 2, pixels = oh * ow, depth = in * 9;
  int tx = threadIdx.x, ty = threadIdx.y, p = blockIdx.x * 16 + tx, o = blockIdx.y * 16 + ty;
  float v = 0;
  for (int base = 0; base < depth; base += 16) {
    int k = base + tx, d = base + ty;
    ws[ty][tx] = o < out && k < depth ? w[o * depth + k] : 0;
    xs[ty][tx] = p < pixels && d < depth ? x[(d / 9 * height + p / ow + d % 9 / 3) * width + p % ow + d % 3] : 0;
    __syncthreads();
    for (int i = 0; i < 16; i++) v += ws[ty][i] * xs[i][tx];
    __syncthreads();
  }
  if (o < out && p < pixels) y[o * pixels + p] = v;
}

extern "C" __global__ void depthwise_half(const half* x, const half* w, half* y, int height, int width) {
  int c = X_INDEX, r = Y_INDEX, channel = blockIdx.z;
  if (c >= width || r >= height) return;
  half v = __float2half(0.f);
#pragma unroll
  for (int p = -1; p <= 1; p++)
#pragma unroll
    for (int q = -1; q <= 1; q++)
      if ((unsigned)(r + p) < height && (unsigned)(c + q) < width)
        v = __hfma(x[(channel * height + r + p) * width + c + q], w[channel * 9 + (p + 1) * 3 + q + 1], v);
  y[(channel * height + r) * width + c] = v;
}

#define RADIUS 4
__constant__ float filter[2 * RADIUS + 1] = {0.05f, 0.09f, 0.12f, 0.15f, 0.18f, 0.15f, 0.12f, 0.09f, 0.05f};

extern "C" __global__ void conv1d_halo(const float* x, float* y, int n) {
  extern __shared__ float tile[];
  int base = blockIdx.x * blockDim.x - RADIUS;
  for (int i = threadIdx.x; i < blockDim.x + 2 * RADIUS; i += blockDim.x)
    tile[i] = base + i >= 0 && base + i < n ? x[base + i] : 0;
  __syncthreads();
  int i = X_INDEX;
  if (i >= n) return;
  float v = 0;
#pragma unroll
  for (int k = 0; k <= 2 * RADIUS; k++) v += filter[k] * tile[threadIdx.x + k];
  y[i] = v;
}

extern "C" __global__ void max_pool(const float* x, float* y, int* place, int height, int width, int oh, int ow) {
  int c = X_INDEX, r = Y_INDEX, z = blockIdx.z;
  if (c >= ow || r >= oh) return;
  float best = -INFINITY;
  int at = -1;
  for (int p = 0; p < 3; p++)
    for (int q = 0; q < 3; q++) {
      int yy = 2 * r + p, xx = 2 * c + q;
      if (yy < height && xx < width && x[(z * height + yy) * width + xx] > best)
        best = x[(z * height + yy) * width + xx], at = yy * width + xx;
    }
  y[(z * oh + r) * ow + c] = best;
  place[(z * oh + r) * ow + c] = at;
}

extern "C" __global__ void average_pool_all(const float* x, float* y, int pixels) {
  float v = 0;
  for (int i = threadIdx.x; i < pixels; i += 32) v += x[(blockIdx.x * blockDim.y + threadIdx.y) * pixels + i];
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(~0u, v, o);
  if (threadIdx.x == 0) y[blockIdx.x * blockDim.y + threadIdx.y] = v / pixels;
}

extern "C" __global__ void stencil_2d(const float* x, float* y, int height, int width, float rate) {
  __shared__ float tile[10][18];
  int c = X_INDEX, r = Y_INDEX, tx = threadIdx.x + 1, ty = threadIdx.y + 1;
  auto at = [&](int rr, int cc) { return x[min(max(rr, 0), height - 1) * width + min(max(cc, 0), width - 1)]; };
  tile[ty][tx] = at(r, c);
  if (tx == 1) tile[ty][0] = at(r, c - 1);
  if (tx == 16) tile[ty][17] = at(r, c + 1);
  if (ty == 1) tile[0][tx] = at(r - 1, c);
  if (ty == 8) tile[9][tx] = at(r + 1, c);
  __syncthreads();
  if (r < height && c < width)
    y[r * width + c] = tile[ty][tx] + rate * (tile[ty - 1][tx] + tile[ty + 1][tx] + tile[ty][tx - 1] + tile[ty][tx + 1] - 4 * tile[ty][tx]);
}

// A plane at a time: neighbours above and below stay in registers.
extern "C" __global__ void stencil_3d(const double* x, double* y, int nx, int ny, int nz) {
  __shared__ double plane[8][8];
  int i = X_INDEX, j = Y_INDEX, tx = threadIdx.x, ty = threadIdx.y;
  bool inside = i < nx && j < ny, edge = i == 0 || j == 0 || i >= nx - 1 || j >= ny - 1;
  auto at = [&](int k, int jj, int ii) { return x[(k * ny + jj) * nx + ii]; };
  double below = inside ? at(0, j, i) : 0, here = inside ? at(1, j, i) : 0;
  for (int k = 1; k < nz - 1; k++) {
    double above = inside ? at(k + 1, j, i) : 0;
    plane[ty][tx] = here;
    __syncthreads();
    if (inside && !edge) {
      double left = tx > 0 ? plane[ty][tx - 1] : at(k, j, i - 1), right = tx < 7 ? plane[ty][tx + 1] : at(k, j, i + 1);
      double down = ty > 0 ? plane[ty - 1][tx] : at(k, j - 1, i), up = ty < 7 ? plane[ty + 1][tx] : at(k, j + 1, i);
      y[(k * ny + j) * nx + i] = (below + above + left + right + down + up) / 6 - here;
    }
    __syncthreads();
    below = here, here = above;
  }
}

extern "C" __global__ void sobel(const unsigned char* x, unsigned char* y, int height, int width) {
  int c = X_INDEX, r = Y_INDEX;
  if (c < 1 || r < 1 || c >= width - 1 || r >= height - 1) return;
  const unsigned char* p = x + r * width + c;
  int h = p[1 - width] + 2 * p[1] + p[1 + width] - p[-1 - width] - 2 * p[-1] - p[-1 + width];
  int v = p[width - 1] + 2 * p[width] + p[width + 1] - p[-width - 1] - 2 * p[-width] - p[-width + 1];
  y[r * width + c] = (unsigned char)min(255, abs(h) + abs(v));
}

extern "C" __global__ void median_3x3(const unsigned short* x, unsigned short* y, int height, int width) {
  int c = X_INDEX, r = Y_INDEX;
  if (c >= width || r >= height) return;
  unsigned short v[9];
  int n = 0;
  for (int p = -1; p <= 1; p++)
    for (int q = -1; q <= 1; q++) v[n++] = x[(r + p + height) % height * width + (c + q + width) % width];
  for (int i = 0; i < 5; i++)
    for (int j = i + 1; j < 9; j++)
      if (v[j] < v[i]) { unsigned short s = v[i]; v[i] = v[j]; v[j] = s; }
  y[r * width + c] = v[4];
}

extern "C" __global__ void upsample_bilinear(const float* x, float* y, int height, int width, int oh, int ow) {
  int c = X_INDEX, r = Y_INDEX;
  if (c >= ow || r >= oh) return;
  float sy = fmaxf((r + 0.5f) * height / oh - 0.5f, 0.f), sx = fmaxf((c + 0.5f) * width / ow - 0.5f, 0.f);
  int y0 = (int)sy, x0 = (int)sx, y1 = min(y0 + 1, height - 1), x1 = min(x0 + 1, width - 1);
  float fy = sy - y0, fx = sx - x0;
  y[r * ow + c] = (1 - fy) * ((1 - fx) * x[y0 * width + x0] + fx * x[y0 * width + x1]) +
                  fy * ((1 - fx) * x[y1 * width + x0] + fx * x[y1 * width + x1]);
}

extern "C" __global__ void life(const unsigned* x, unsigned* y, int words, int rows) {
  int w = X_INDEX, r = Y_INDEX;
  if (w >= words || r >= rows) return;
  unsigned ones = 0, twos = 0, fours = 0, self = x[r * words + w];
  for (int p = -1; p <= 1; p++) {
    const unsigned* row = x + (r + p + rows) % rows * words;
    unsigned here = row[w], left = __funnelshift_l(row[(w + words - 1) % words], here, 1);
    unsigned right = __funnelshift_r(here, row[(w + 1) % words], 1);
    for (int k = 0; k < 3; k++) {
      unsigned bits = k == 0 ? left : k == 1 ? right : p ? here : 0;
      unsigned carry = ones & bits;
      ones ^= bits;
      unsigned more = twos & carry;
      twos ^= carry;
      fours |= more;
    }
  }
  y[r * words + w] = ~fours & twos & (ones | self);
}

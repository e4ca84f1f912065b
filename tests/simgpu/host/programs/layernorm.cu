// Layer normalisation, forward (a block per row, warp shuffles) and backward (weights by atomics).
#include "check.h"

__device__ float block_sum(float value) {
  __shared__ float parts[32];
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < blockDim.x / 32; ++warp) total += parts[warp];
  return total;
}

__global__ void forward(const float* x, const float* weight, const float* bias, float* y, float* mean, float* rstd, int c) {
  const float* row = x + blockIdx.x * c;
  float sum = 0, squares = 0;
  for (int i = threadIdx.x; i < c; i += blockDim.x) sum += row[i];
  const float m = block_sum(sum) / c;
  for (int i = threadIdx.x; i < c; i += blockDim.x) squares += (row[i] - m) * (row[i] - m);
  const float r = rsqrtf(block_sum(squares) / c + 1e-5f);
  for (int i = threadIdx.x; i < c; i += blockDim.x) y[blockIdx.x * c + i] = (row[i] - m) * r * weight[i] + bias[i];
  if (threadIdx.x == 0) mean[blockIdx.x] = m, rstd[blockIdx.x] = r;
}

__global__ void backward(const float* x, const float* weight, const float* dy, const float* mean, const float* rstd,
                         float* dx, float* dweight, float* dbias, int c) {
  const int at = blockIdx.x * c;
  const float m = mean[blockIdx.x], r = rstd[blockIdx.x];
  float first = 0, second = 0;
  for (int i = threadIdx.x; i < c; i += blockDim.x) {
    first += weight[i] * dy[at + i];
    second += weight[i] * dy[at + i] * (x[at + i] - m) * r;
  }
  first = block_sum(first) / c, second = block_sum(second) / c;
  for (int i = threadIdx.x; i < c; i += blockDim.x) {
    const float normal = (x[at + i] - m) * r;
    dx[at + i] = (weight[i] * dy[at + i] - first - normal * second) * r;
    atomicAdd(&dweight[i], normal * dy[at + i]);
    atomicAdd(&dbias[i], dy[at + i]);
  }
}

int main() {
  constexpr int rows = 24, c = 100;
  const auto x = random_floats(rows * c, 1), w = random_floats(c, 2), b = random_floats(c, 3), dy = random_floats(rows * c, 4);
  std::vector<float> y(x.size()), dx(x.size()), dw(c), db(c);
  for (int row = 0; row < rows; ++row) {
    double m = 0, v = 0, first = 0, second = 0;
    for (int i = 0; i < c; ++i) m += x[row * c + i] / double{c};
    for (int i = 0; i < c; ++i) v += (x[row * c + i] - m) * (x[row * c + i] - m) / c;
    const double r = 1 / std::sqrt(v + 1e-5);
    for (int i = 0; i < c; ++i) {
      const double normal = (x[row * c + i] - m) * r, g = dy[row * c + i];
      y[row * c + i] = normal * w[i] + b[i];
      dw[i] += normal * g, db[i] += g, first += w[i] * g / c, second += w[i] * g * normal / c;
    }
    for (int i = 0; i < c; ++i)
      dx[row * c + i] = (w[i] * dy[row * c + i] - first - (x[row * c + i] - m) * r * second) * r;
  }
  const OnCard<float> input(x), weight(w), bias(b), gradient(dy), output(x.size()), mean(rows), rstd(rows), dinput(x.size());
  const OnCard<float> dweight(std::vector<float>(c, 0)), dbias(std::vector<float>(c, 0));
  forward<<<rows, 64>>>(input, weight, bias, output, mean, rstd, c);
  backward<<<rows, 64>>>(input, weight, gradient, mean, rstd, dinput, dweight, dbias, c);
  expect("forward", output.read(), y, 1e-5);
  expect("dx", dinput.read(), dx, 1e-5);
  expect("dweight", dweight.read(), dw, 1e-5);
  expect("dbias", dbias.read(), db, 1e-5);
}

// Mean and squared deviations in one pass: each lane updates its own, then the lanes merge theirs pairwise.
extern "C" __global__ void layernorm(const float* x, const float* weight, const float* bias, float* y, int rows,
                                     int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  const float* row = x + number * cols;
  float count = 0.0f;
  float mean = 0.0f;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) {
    float off = row[i] - mean;
    count += 1.0f;
    mean += off / count;
    squares += off * (row[i] - mean);
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    float other = __shfl_xor_sync(0xffffffffu, count, offset);
    float off = __shfl_xor_sync(0xffffffffu, mean, offset) - mean;
    float more = __shfl_xor_sync(0xffffffffu, squares, offset);
    float both = count + other;
    float share = both > 0.0f ? other / both : 0.0f;
    mean += off * share;
    squares += more + off * off * count * share;
    count = both;
  }
  float scale = rsqrtf(squares / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += 32) {
    y[number * cols + i] = (row[i] - mean) * scale * weight[i] + bias[i];
  }
}

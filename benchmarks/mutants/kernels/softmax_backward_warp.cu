extern "C" __global__ void softmax_backward(const float* grad, const float* output, float* result, int rows,
                                            int cols) {
  int number = blockIdx.x * kRows + threadIdx.y;
  if (number >= rows) return;
  int start = number * cols;
  float product = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) product += grad[start + i] * output[start + i];
  product = warp_sum(product);
  for (int i = threadIdx.x; i < cols; i += 32) {
    float share = output[start + i];
    result[start + i] = share * grad[start + i] - share * product;
  }
}

extern "C" __global__ void softmax_backward(const float* grad, const float* output, float* result, int cols) {
  long long start = (long long)blockIdx.x * cols;
  float product = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) product += grad[start + i] * output[start + i];
  product = block_sum(product);
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    result[start + i] = output[start + i] * (grad[start + i] - product);
  }
}

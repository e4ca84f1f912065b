// Rows sorted by a bitonic network in shared memory, one block per row. Rows are padded with infinities to a power of
// two, so that the network has no special cases; they end up behind the row.
#include <torch/extension.h>

constexpr int kThreads = 256;

__global__ void sort_kernel(const float* x, float* y, int cols, int padded) {
  extern __shared__ float keys[];
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  for (int i = threadIdx.x; i < padded; i += kThreads) keys[i] = i < cols ? x[offset + i] : INFINITY;
  __syncthreads();
  for (int width = 2; width <= padded; width *= 2) {
    for (int step = width / 2; step > 0; step /= 2) {
      for (int pair = threadIdx.x; pair < padded / 2; pair += kThreads) {
        int low = pair / step * 2 * step + pair % step;
        int high = low + step;
        bool ascending = (low & width) == 0;
        float a = keys[low], b = keys[high];
        if ((a > b) == ascending) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      __syncthreads();
    }
  }
  for (int i = threadIdx.x; i < cols; i += kThreads) y[offset + i] = keys[i];
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int rows = x.size(0), cols = x.size(1);
  int padded = 1;
  while (padded < cols) padded *= 2;
  TORCH_CHECK(padded <= 8192, "rows of more than 8192 elements do not fit into shared memory");
  sort_kernel<<<rows, kThreads, padded * sizeof(float)>>>(x.data_ptr<float>(), y.data_ptr<float>(), cols, padded);
  return y;
}

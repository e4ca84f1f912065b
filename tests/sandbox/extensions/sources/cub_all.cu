#include <cub/cub.cuh>
#include <torch/extension.h>

template <typename T, int THREADS, int ITEMS>
__global__ void scan_rows(const T* in, T* out, int cols) {
  using Load = cub::BlockLoad<T, THREADS, ITEMS, cub::BLOCK_LOAD_TRANSPOSE>;
  using Store = cub::BlockStore<T, THREADS, ITEMS, cub::BLOCK_STORE_TRANSPOSE>;
  using Scan = cub::BlockScan<T, THREADS>;
  __shared__ union {
    typename Load::TempStorage load;
    typename Store::TempStorage store;
    typename Scan::TempStorage scan;
  } shared;
  T items[ITEMS];
  Load(shared.load).Load(in + blockIdx.x * cols, items, cols, T(0));
  __syncthreads();
  Scan(shared.scan).InclusiveSum(items, items);
  __syncthreads();
  Store(shared.store).Store(out + blockIdx.x * cols, items, cols);
}

torch::Tensor forward(torch::Tensor x) {
  TORCH_CHECK(x.size(1) <= 512, "rows of at most 512");
  auto y = torch::empty_like(x);
  scan_rows<float, 128, 4><<<x.size(0), 128>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.size(1));
  return y;
}

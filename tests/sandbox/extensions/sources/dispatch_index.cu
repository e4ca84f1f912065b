#include <torch/extension.h>
#include <c10/cuda/CUDAException.h>

template <typename scalar_t, typename index_t>
__global__ void gather_rows(const scalar_t* table, const index_t* index, scalar_t* out, int64_t n, int64_t dim) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n * dim) out[i] = table[static_cast<int64_t>(index[i / dim]) * dim + i % dim];
}

torch::Tensor embedding(torch::Tensor table, torch::Tensor index) {
  TORCH_CHECK(index.dtype() == torch::kInt32 || index.dtype() == torch::kInt64, "index must be int32 or int64");
  const int64_t n = index.numel(), dim = table.size(1);
  std::vector<int64_t> shape = index.sizes().vec();
  shape.push_back(dim);
  auto out = torch::empty(shape, table.options());
  AT_DISPATCH_FLOATING_TYPES_AND_HALF(table.scalar_type(), "gather_rows", [&] {
    AT_DISPATCH_INDEX_TYPES(index.scalar_type(), "gather_rows_index", [&] {
      gather_rows<scalar_t, index_t><<<(n * dim + 127) / 128, 128>>>(
          table.data_ptr<scalar_t>(), index.data_ptr<index_t>(), out.data_ptr<scalar_t>(), n, dim);
    });
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &embedding, "Embedding lookup", py::arg("table"), py::arg("index"));
}

"""A `ModelNew` with two inline functions, a parameter, a buffer and a fixed argument."""

import torch
from torch import nn
from torch.utils.cpp_extension import load_inline

CUDA = """
#include <torch/extension.h>
#include <cuda_runtime.h>

__global__ void affine_kernel(const float* x, const float* w, const float* b, float* out, int rows, int cols) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * cols) out[i] = SCALE * x[i] * w[i % cols] + b[i % cols];
}
torch::Tensor affine(torch::Tensor x, torch::Tensor w, torch::Tensor b) {
    TORCH_CHECK(x.is_cuda() && x.is_contiguous(), "x must be a dense CUDA tensor");
    auto out = torch::empty_like(x);
    int count = x.numel();
    affine_kernel<<<(count + 127) / 128, 128>>>(x.data_ptr<float>(), w.data_ptr<float>(), b.data_ptr<float>(),
                                                out.data_ptr<float>(), count / w.numel(), w.numel());
    return out;
}
__global__ void add_kernel(const float* x, float value, float* out, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = x[i] + value;
}
std::vector<torch::Tensor> add(torch::Tensor x, double value, bool twice) {
    auto out = torch::empty_like(x);
    add_kernel<<<(x.numel() + 127) / 128, 128>>>(x.data_ptr<float>(), float(value) * (twice ? 2 : 1),
                                                 out.data_ptr<float>(), x.numel());
    return {out, x};
}
"""
CPP = """
torch::Tensor affine(torch::Tensor x, torch::Tensor w, torch::Tensor b);
std::vector<torch::Tensor> add(torch::Tensor x, double value, bool twice);
"""

kernels = load_inline(
    name="affine",
    cpp_sources=[CPP],
    cuda_sources=[CUDA],
    functions=["affine", "add"],
    extra_cuda_cflags=["-O3", "--use_fast_math", "-DSCALE=2.0f"],
    verbose=False,
)


class ModelNew(nn.Module):
    def __init__(self, width, offset=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.register_buffer("shift", torch.zeros(width))
        self.offset = offset

    def forward(self, x, twice):
        out = kernels.affine(x, self.weight, self.shift)
        return kernels.add(out, self.offset, twice)[0]

import torch
from torch import nn

m = 512
n = 4096
k = 4096


class Model(nn.Module):
    def forward(self, a, b, row_scale, col_scale):
        product = a.int() @ b.int()
        return product.float() * row_scale[:, None] * col_scale


def get_inputs():
    return [
        torch.randint(-100, 101, (m, k), dtype=torch.int8),
        torch.randint(-100, 101, (k, n), dtype=torch.int8),
        torch.rand(m) + 0.1,
        torch.rand(n) + 0.1,
    ]


def get_init_inputs():
    return []

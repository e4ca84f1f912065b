import torch
from torch import nn

rows = 2048
a_slots = 16
inner = 2048
b_slots = 16
cols = 4096


class Model(nn.Module):
    def forward(self, a_value, a_col, b_value, b_col, base):
        b = torch.zeros(b_value.shape[0], base.shape[1], dtype=base.dtype).scatter_add(1, b_col, b_value)
        return base + torch.einsum("rs,rsc->rc", a_value, b[a_col])


def get_inputs():
    return [
        torch.randn(rows, a_slots),
        torch.randint(0, inner, (rows, a_slots)),
        torch.randn(inner, b_slots),
        torch.randint(0, cols, (inner, b_slots)),
        torch.randn(rows, cols),
    ]


def get_init_inputs():
    return []

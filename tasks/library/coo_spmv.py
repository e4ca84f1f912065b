import torch
from torch import nn

entries = 1000000
rows = 65536
cols = 65536


class Model(nn.Module):
    def forward(self, value, row, col, x, y):
        return y.index_add(0, row, value * x[col])


def get_inputs():
    return [
        torch.randn(entries),
        torch.randint(0, rows, (entries,)),
        torch.randint(0, cols, (entries,)),
        torch.randn(cols),
        torch.randn(rows),
    ]


def get_init_inputs():
    return []

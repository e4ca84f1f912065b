import torch
from torch import nn

rows = 65536
slots = 27
cols = 65536


class Model(nn.Module):
    def forward(self, value, col, x):
        return (value * x[col]).sum(dim=-1)


def get_inputs():
    return [torch.randn(rows, slots), torch.randint(0, cols, (rows, slots)), torch.randn(cols)]


def get_init_inputs():
    return []

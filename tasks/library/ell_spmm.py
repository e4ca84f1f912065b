import torch
from torch import nn

rows = 16384
slots = 16
cols = 16384
width = 128


class Model(nn.Module):
    def forward(self, value, col, x):
        return (value[:, :, None] * x[col]).sum(dim=1)


def get_inputs():
    return [torch.randn(rows, slots), torch.randint(0, cols, (rows, slots)), torch.randn(cols, width)]


def get_init_inputs():
    return []

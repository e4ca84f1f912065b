import torch
from torch import nn

rows = 16384
slots = 16
cols = 16384
width = 128


class Model(nn.Module):
    def forward(self, a, b, col):
        return (a[:, None] * b[col]).sum(dim=-1)


def get_inputs():
    return [torch.randn(rows, width), torch.randn(cols, width), torch.randint(0, cols, (rows, slots))]


def get_init_inputs():
    return []

import torch
from torch import nn

rows = 4096
cols = 4096


class Model(nn.Module):
    def forward(self, x):
        size = x.abs()
        return size.amax(dim=1) ** 0.15, size.amax(dim=0) ** 0.85


def get_inputs():
    return [torch.randn(rows, cols)]


def get_init_inputs():
    return []

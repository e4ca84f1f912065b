import torch
from torch import nn

rows = 1024
half = 14336


class Model(nn.Module):
    def forward(self, x):
        gate, up = x.chunk(2, dim=-1)
        return nn.functional.gelu(gate, approximate="tanh") * up


def get_inputs():
    return [torch.randn(rows, 2 * half)]


def get_init_inputs():
    return []

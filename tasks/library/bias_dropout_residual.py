import torch
from torch import nn

rows = 8192
cols = 1600


class Model(nn.Module):
    def forward(self, x, bias, mask, residual):
        kept = (x + bias) * mask / 0.9
        return kept + residual


def get_inputs():
    return [
        torch.randn(rows, cols),
        torch.randn(cols),
        torch.randint(0, 2, (rows, cols)).bool(),
        torch.randn(rows, cols),
    ]


def get_init_inputs():
    return []

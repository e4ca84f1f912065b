import torch
from torch import nn

tokens = 4096
heads = 32
half = 64


class Model(nn.Module):
    def forward(self, x, cos, sin):
        a, b = x.chunk(2, dim=-1)
        cos, sin = cos[:, None], sin[:, None]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def get_inputs():
    return [torch.randn(tokens, heads, 2 * half), torch.randn(tokens, half), torch.randn(tokens, half)]


def get_init_inputs():
    return []

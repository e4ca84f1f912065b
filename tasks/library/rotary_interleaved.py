import torch
from torch import nn

tokens = 2048
heads = 16
half = 32


class Model(nn.Module):
    def forward(self, x, cos, sin):
        a, b = x[..., 0::2], x[..., 1::2]
        cos, sin = cos[:, None], sin[:, None]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)


def get_inputs():
    return [torch.randn(tokens, heads, 2 * half), torch.randn(tokens, half), torch.randn(tokens, half)]


def get_init_inputs():
    return []

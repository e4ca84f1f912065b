import torch
from torch import nn

tokens = 4096
heads = 32
width = 128


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        scale = torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6)
        return x * scale * self.weight


def get_inputs():
    return [torch.randn(tokens, heads, width)]


def get_init_inputs():
    return [width]

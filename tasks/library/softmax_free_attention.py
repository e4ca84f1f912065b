import torch
from torch import nn

heads = 16
length = 784
width = 32


class Model(nn.Module):
    def forward(self, q, k, v):
        squares = q.square().sum(dim=-1)[:, :, None] + k.square().sum(dim=-1)[:, None] - 2.0 * (q @ k.transpose(1, 2))
        return torch.exp(-0.5 * q.shape[-1] ** -0.5 * squares.clamp(min=0.0)) @ v


def get_inputs():
    return [torch.randn(heads, length, width), torch.randn(heads, length, width), torch.randn(heads, length, width)]


def get_init_inputs():
    return []

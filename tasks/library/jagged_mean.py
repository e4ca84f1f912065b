import torch
from torch import nn

tokens = 32768
sequences = 128
width = 768


class Model(nn.Module):
    def forward(self, x, offset):
        sequence = torch.searchsorted(offset, torch.arange(x.shape[0]), right=True) - 1
        total = torch.zeros(offset.shape[0] - 1, x.shape[1], dtype=x.dtype).index_add(0, sequence, x)
        return total / offset.diff().clamp(min=1)[:, None]


def get_inputs():
    return [torch.randn(tokens, width), torch.linspace(0, tokens, sequences + 1).long()]


def get_init_inputs():
    return []

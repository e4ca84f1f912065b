import torch
from torch import nn

samples = 2
channels = 2048
length = 2048


class Model(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 4) / 2)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        padded = nn.functional.pad(x, (3, 0))
        return nn.functional.silu(nn.functional.conv1d(padded, self.weight[:, None, :], self.bias, groups=x.shape[1]))


def get_inputs():
    return [torch.randn(samples, channels, length)]


def get_init_inputs():
    return [channels]

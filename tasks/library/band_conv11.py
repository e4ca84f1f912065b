import torch
from torch import nn

samples = 8
channels = 96
height = 56
width = 56


class Model(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (1, 11), padding=(0, 5), groups=channels)

    def forward(self, x):
        return self.conv(x)


def get_inputs():
    return [torch.randn(samples, channels, height, width)]


def get_init_inputs():
    return [channels]

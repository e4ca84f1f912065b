import torch
from torch import nn

samples = 8
inputs = 64
outputs = 64
height = 56
width = 56


class Model(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x):
        return torch.relu(self.conv(x))


def get_inputs():
    return [torch.randn(samples, inputs, height, width)]


def get_init_inputs():
    return [inputs, outputs]

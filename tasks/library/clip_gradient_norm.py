import torch
from torch import nn

size = 16777216


class Model(nn.Module):
    def forward(self, gradient):
        norm = gradient.square().sum().sqrt()
        return gradient * torch.clamp(1.0 / (norm + 1e-6), max=1.0)


def get_inputs():
    return [torch.randn(size)]


def get_init_inputs():
    return []

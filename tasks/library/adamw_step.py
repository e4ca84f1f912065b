import torch
from torch import nn

size = 16777216


class Model(nn.Module):
    def forward(self, parameter, gradient, first, second):
        first = 0.9 * first + 0.1 * gradient
        second = 0.95 * second + 0.05 * gradient.square()
        update = first / (1 - 0.9**10) / ((second / (1 - 0.95**10)).sqrt() + 1e-8)
        return parameter * (1 - 1e-3 * 0.1) - 1e-3 * update, first, second


def get_inputs():
    return [torch.randn(size), torch.randn(size), torch.randn(size), torch.rand(size) + 0.1]


def get_init_inputs():
    return []

import torch
from torch import nn

size = 16777216


class Model(nn.Module):
    def forward(self, parameter, gradient, momentum):
        update = torch.sign(0.9 * momentum + 0.1 * gradient)
        return parameter * (1 - 1e-4 * 0.1) - 1e-4 * update, 0.99 * momentum + 0.01 * gradient


def get_inputs():
    return [torch.randn(size), torch.randn(size), torch.randn(size)]


def get_init_inputs():
    return []

import torch
from torch import nn

rows = 512
width = 4096
hidden = 4096


class Model(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(hidden, width) / width**0.5)
        self.down = nn.Parameter(torch.randn(16, width) / width**0.5)
        self.up = nn.Parameter(torch.randn(hidden, 16) / 4)

    def forward(self, x):
        return x @ self.weight.T + 2.0 * ((x @ self.down.T) @ self.up.T)


def get_inputs():
    return [torch.randn(rows, width)]


def get_init_inputs():
    return [width, hidden]

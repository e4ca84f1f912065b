import torch
from torch import nn

rows = 3152
share = 96


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.numerator = nn.Parameter(torch.randn(8, 6))
        self.denominator = nn.Parameter(torch.randn(8, 4))

    def forward(self, x):
        x = x.unflatten(-1, (8, -1))
        a = self.numerator[:, :, None]
        b = self.denominator[:, :, None]
        top = a[:, 0] + x * (a[:, 1] + x * (a[:, 2] + x * (a[:, 3] + x * (a[:, 4] + x * a[:, 5]))))
        bottom = 1.0 + (x * (b[:, 0] + x * (b[:, 1] + x * (b[:, 2] + x * b[:, 3])))).abs()
        return (top / bottom).flatten(-2)


def get_inputs():
    return [torch.randn(rows, 8 * share)]


def get_init_inputs():
    return []

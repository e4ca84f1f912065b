import torch
from torch import nn

points = 4096
others = 1024
width = 64


class Model(nn.Module):
    def forward(self, x, y):
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def get_inputs():
    return [torch.randn(points, width), torch.randn(others, width)]


def get_init_inputs():
    return []

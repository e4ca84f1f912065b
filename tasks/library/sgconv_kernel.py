import torch
from torch import nn

channels = 1024
base = 64


class Model(nn.Module):
    def forward(self, parts):
        pieces = []
        for scale in range(5):
            stretch = 2 ** max(scale - 1, 0)
            piece = nn.functional.interpolate(parts[scale : scale + 1], scale_factor=stretch, mode="linear")
            pieces.append(piece[0] * 0.5**scale)
        return torch.cat(pieces, dim=-1)


def get_inputs():
    return [torch.randn(5, channels, base)]


def get_init_inputs():
    return []

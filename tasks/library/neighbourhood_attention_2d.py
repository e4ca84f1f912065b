import torch
from torch import nn

heads = 2
rows = 56
cols = 56
width = 32


def near(size):
    """Indices of the 7 nearest positions of each of `size` positions along one axis."""
    first = (torch.arange(size) - 3).clamp(0, size - 7)
    return first[:, None] + torch.arange(7)


class Model(nn.Module):
    def forward(self, q, k, v):
        scale = q.shape[-1] ** -0.5
        row = near(q.shape[1])[:, None, :, None]
        col = near(q.shape[2])[None, :, None, :]
        keys, values = (x[:, row, col].flatten(3, 4) for x in (k, v))
        scores = (q[:, :, :, None] * keys).sum(dim=-1) * scale
        return (torch.softmax(scores, dim=-1)[..., None] * values).sum(dim=3)


def get_inputs():
    return [
        torch.randn(heads, rows, cols, width),
        torch.randn(heads, rows, cols, width),
        torch.randn(heads, rows, cols, width),
    ]


def get_init_inputs():
    return []

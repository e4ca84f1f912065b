import torch
from torch import nn

heads = 2
length = 3136
width = 32


class Model(nn.Module):
    def forward(self, q, k, v):
        scale = q.shape[-1] ** -0.5
        first = (torch.arange(q.shape[1]) - 6).clamp(0, q.shape[1] - 13)
        near = first[:, None] + torch.arange(13)
        scores = (q[:, :, None] * k[:, near]).sum(dim=-1) * scale
        return (torch.softmax(scores, dim=-1)[..., None] * v[:, near]).sum(dim=2)


def get_inputs():
    return [torch.randn(heads, length, width), torch.randn(heads, length, width), torch.randn(heads, length, width)]


def get_init_inputs():
    return []

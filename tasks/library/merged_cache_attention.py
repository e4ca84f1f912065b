import torch
from torch import nn

heads = 32
length = 2048
width = 128


class Model(nn.Module):
    def forward(self, q, k, v, count):
        scale = q.shape[-1] ** -0.5
        scores = (k @ q[:, :, None]).squeeze(-1) * scale + count.log()
        return (torch.softmax(scores, dim=-1)[:, None] @ v).squeeze(1)


def get_inputs():
    return [
        torch.randn(heads, width),
        torch.randn(heads, length, width),
        torch.randn(heads, length, width),
        torch.rand(heads, length) + 0.1,
    ]


def get_init_inputs():
    return []

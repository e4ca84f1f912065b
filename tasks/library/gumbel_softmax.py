import torch
from torch import nn

rows = 512
cols = 8192


class Model(nn.Module):
    def forward(self, logits, uniform):
        noise = -torch.log(-torch.log(uniform.clamp(1e-6, 1.0 - 1e-6)))
        return torch.softmax((logits + noise) / 0.5, dim=-1)


def get_inputs():
    return [torch.randn(rows, cols), torch.rand(rows, cols)]


def get_init_inputs():
    return []

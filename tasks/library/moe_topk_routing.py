import torch
from torch import nn

tokens = 4096
experts = 8


class Model(nn.Module):
    def forward(self, logits):
        values, indices = torch.sort(logits, dim=-1, descending=True, stable=True)
        return torch.softmax(values[:, :2], dim=-1), indices[:, :2]


def get_inputs():
    return [torch.randn(tokens, experts)]


def get_init_inputs():
    return []

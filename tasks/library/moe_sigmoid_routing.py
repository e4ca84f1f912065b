import torch
from torch import nn

tokens = 4096
experts = 256


class Model(nn.Module):
    def forward(self, logits):
        values, indices = torch.sort(logits, dim=-1, descending=True, stable=True)
        scores = torch.sigmoid(values[:, :8])
        return 2.5 * scores / (scores.sum(dim=-1, keepdim=True) + 1e-20), indices[:, :8]


def get_inputs():
    return [torch.randn(tokens, experts)]


def get_init_inputs():
    return []

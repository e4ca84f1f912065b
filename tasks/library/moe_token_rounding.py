import torch
from torch import nn

tokens = 8192
experts = 64


class Model(nn.Module):
    def forward(self, chosen):
        counts = chosen.sum(dim=0)
        rounded = (counts + 64) // 128 * 128
        return counts, rounded, torch.cumsum(rounded, dim=0) - rounded


def get_inputs():
    return [torch.randint(0, 2, (tokens, experts)).bool()]


def get_init_inputs():
    return []

import torch
from torch import nn

heads = 8
length = 3072
width = 32


class Model(nn.Module):
    def forward(self, q, k, v):
        q_features = nn.functional.elu(q) + 1.0
        k_features = nn.functional.elu(k) + 1.0
        totals = k_features.sum(dim=1)
        return q_features @ (k_features.transpose(1, 2) @ v) / (q_features @ totals[:, :, None])


def get_inputs():
    return [torch.randn(heads, length, width), torch.randn(heads, length, width), torch.randn(heads, length, width)]


def get_init_inputs():
    return []

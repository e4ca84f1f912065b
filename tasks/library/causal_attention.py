import torch
from torch import nn

heads = 12
length = 1024
width = 64


class Model(nn.Module):
    def forward(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def get_inputs():
    return [torch.randn(heads, length, width), torch.randn(heads, length, width), torch.randn(heads, length, width)]


def get_init_inputs():
    return []

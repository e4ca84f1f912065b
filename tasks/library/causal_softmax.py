import torch
from torch import nn

heads = 12
length = 1024


class Model(nn.Module):
    def forward(self, scores):
        rows = torch.arange(scores.shape[-1])
        later = rows[None, :] > rows[:, None]
        masked = (scores * 0.125).masked_fill(later, -torch.inf)
        return torch.softmax(masked, dim=-1)


def get_inputs():
    return [torch.randn(heads, length, length)]


def get_init_inputs():
    return []

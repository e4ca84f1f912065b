import torch
from torch import nn

tiles = 32
experts = 8
inputs = 2048
outputs = 1024


class Model(nn.Module):
    def __init__(self, experts, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, inputs, outputs) / inputs**0.5)

    def forward(self, x, expert):
        return torch.bmm(x, self.weight[expert])


def get_inputs():
    return [torch.randn(tiles, 128, inputs), torch.randint(0, experts, (tiles,))]


def get_init_inputs():
    return [experts, inputs, outputs]

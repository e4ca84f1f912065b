import torch
from torch import nn

tiles = 32
experts = 8
inputs = 2048
hidden = 1024


class Model(nn.Module):
    def __init__(self, experts, inputs, hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, inputs, 2 * hidden) / inputs**0.5)

    def forward(self, x, expert):
        gate, up = torch.bmm(x, self.weight[expert]).chunk(2, dim=-1)
        return nn.functional.silu(gate) * up


def get_inputs():
    return [torch.randn(tiles, 128, inputs), torch.randint(0, experts, (tiles,))]


def get_init_inputs():
    return [experts, inputs, hidden]

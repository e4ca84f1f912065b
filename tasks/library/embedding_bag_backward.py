import torch
from torch import nn

samples = 2048
bag = 32
rows = 100000
width = 64


class Model(nn.Module):
    def __init__(self, rows, width):
        super().__init__()
        self.table = nn.Embedding(rows, width)

    def forward(self, index, weight):
        return (self.table(index) * weight[:, :, None]).sum(dim=1)


def get_inputs():
    return [torch.randint(0, rows, (samples, bag)), torch.randn(samples, bag)]


def get_init_inputs():
    return [rows, width]

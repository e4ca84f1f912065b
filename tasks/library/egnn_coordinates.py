import torch
from torch import nn

edges = 262144
nodes = 16384


class Model(nn.Module):
    def forward(self, x, weight, source, target):
        return x.index_add(0, target, (x[target] - x[source]) * weight[:, None])


def get_inputs():
    return [
        torch.randn(nodes, 3),
        torch.randn(edges),
        torch.randint(0, nodes, (edges,)),
        torch.randint(0, nodes, (edges,)),
    ]


def get_init_inputs():
    return []

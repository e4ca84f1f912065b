import torch
from torch import nn

edges = 262144
nodes = 16384
width = 64


class Model(nn.Module):
    def forward(self, feature, target, node):
        return node.index_add(0, target, feature)


def get_inputs():
    return [torch.randn(edges, width), torch.randint(0, nodes, (edges,)), torch.randn(nodes, width)]


def get_init_inputs():
    return []

import torch
from torch import nn

edges = 65536
nodes = 4096
width = 128


class Model(nn.Module):
    def forward(self, vector, gate, share, direction, ends):
        source, target = ends
        message = vector[source] * gate[:, None] + direction[:, :, None] * share[:, None]
        return vector.index_add(0, target, message)


def get_inputs():
    return [
        torch.randn(nodes, 3, width),
        torch.randn(edges, width),
        torch.randn(edges, width),
        torch.randn(edges, 3),
        torch.randint(0, nodes, (2, edges)),
    ]


def get_init_inputs():
    return []

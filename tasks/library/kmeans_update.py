import torch
from torch import nn

points = 65536
clusters = 256
width = 32


class Model(nn.Module):
    def forward(self, x, label, centroid):
        count = torch.zeros_like(centroid[:, :1]).index_add(0, label, torch.ones_like(x[:, :1]))
        total = torch.zeros_like(centroid).index_add(0, label, x)
        return torch.where(count > 0, total / count.clamp(min=1.0), centroid)


def get_inputs():
    return [torch.randn(points, width), torch.randint(0, clusters, (points,)), torch.randn(clusters, width)]


def get_init_inputs():
    return []

import torch
from torch import nn

samples = 8
length = 1024
vocabulary = 32000
width = 768


class Model(nn.Module):
    def __init__(self, vocabulary, length, width):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)

    def forward(self, token):
        return self.tokens(token) + self.positions.weight


def get_inputs():
    return [torch.randint(0, vocabulary, (samples, length))]


def get_init_inputs():
    return [vocabulary, length, width]

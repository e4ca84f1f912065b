import torch
from torch import nn

tokens = 4096
chosen = 8
slots = 8192
width = 2048


class Model(nn.Module):
    def forward(self, outputs, slot, weight):
        return (outputs[slot] * weight[:, :, None]).sum(dim=1)


def get_inputs():
    return [torch.randn(slots, width), torch.randint(0, slots, (tokens, chosen)), torch.randn(tokens, chosen)]


def get_init_inputs():
    return []

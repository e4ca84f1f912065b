import torch
from torch import nn

rows = 256
classes = 50257


class Model(nn.Module):
    def forward(self, student, teacher):
        log_student = torch.log_softmax(student, dim=-1)
        log_teacher = torch.log_softmax(teacher, dim=-1)
        return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1).mean()


def get_inputs():
    return [torch.randn(rows, classes), torch.randn(rows, classes)]


def get_init_inputs():
    return []

"""Which failures with the light headers are worth a minute of compiling against PyTorch's own."""

from __future__ import annotations

import pytest

from sandbox.build.diagnosis import build_error
from sandbox.build.headers import explained, why_full

WORTH_IT = [
    "kernel.cu:2:10: fatal error: torch/csrc/autograd/custom_function.h: No such file or directory",
    "kernel.cu:2:10: fatal error: ATen/native/cuda/block_reduce.cuh: No such file or directory",
    "kernel.cu:2:10: fatal error: c10/util/accumulate.h: No such file or directory",
    'kernel.cu(9): error: namespace "torch" has no member "autograd"',
    'kernel.cu(9): error: namespace "at::native" has no member "empty_cuda"',
    'kernel.cu(9): error: name followed by "::" must be a class or namespace name\n    return torch::autograd::grad(x);',
    'kernel.cu(9): error: class "at::Tensor" has no member "is_sparse"',
    'kernel.cu(9): error: identifier "AT_DISPATCH_COMPLEX_TYPES" is undefined',
    'kernel.cu(9): error: identifier "C10_CUDA_KERNEL_LAUNCH_CHECKED" is undefined',
    'kernel.cu(9): error: no suitable user-defined conversion from "at::Tensor" to "c10::Storage" exists',
]
HOPELESS = [
    'kernel.cu(9): error: namespace "at" has no member "matmul"\n    return at::matmul(x, x);',
    'kernel.cu(9): error: class "at::Tensor" has no member "softmax"',
    'kernel.cu(9): error: identifier "mistyped" is undefined\n    at::Tensor y = mistyped(x);',
    "kernel.cu:2:10: fatal error: cutlass/cutlass.h: No such file or directory",
    'kernel.cu(9): error: identifier "mistyped" is undefined',
    'kernel.cu(9): error: expected a ";"',
    'kernel.cu(9): error: namespace "std" has no member "sortt"',
    'kernel.cu(9): error: struct "Params" has no member "stride"',
    "ptxas error   : Entry function 'k' uses too much shared data (0x61a80 bytes, 0xc000 max)",
    "kernelwright_entry.cu: undefined reference to `at::matmul(float*)'",
]


@pytest.mark.parametrize("log", WORTH_IT)
def test_what_only_pytorch_declares_is_worth_it(log):
    assert why_full(build_error(log, "forward")) == log.splitlines()[0]


@pytest.mark.parametrize("log", HOPELESS)
def test_a_mistake_of_the_candidates_own_is_not(log):
    assert why_full(build_error(log, "forward")) == ""


COMPUTES = {
    'kernel.cu(9): error: namespace "at" has no member "relu"': "`relu`",
    'kernel.cu(9): error: class "at::Tensor" has no member "sum"': "`sum`",
    'kernel.cu(9): error: no operator "/" matches these operands\n            operand types are: at::Tensor / float': "`/`",
}


@pytest.mark.parametrize("log", COMPUTES)
def test_a_call_of_an_operator_that_computes_is_explained(log):
    error = build_error(log, "forward")
    told = explained(error)
    assert told.summary.startswith(error.summary)
    assert f"{COMPUTES[log]} is an operator of PyTorch that computes" in told.summary
    assert (told.kind, told.log) == (error.kind, error.log)


@pytest.mark.parametrize(
    "log",
    [
        *WORTH_IT,
        'kernel.cu(9): error: identifier "mistyped" is undefined\n    at::Tensor y = mistyped(x);',
        'kernel.cu(9): error: no operator "+" matches these operands\n            operand types are: float4 + float4',
    ],
)
def test_other_failures_stay_as_they_are(log):
    error = build_error(log, "forward")
    assert explained(error) is error

"""Whole Python scripts on the simulated card, as `kernelwright sim run` starts them."""

import os
import subprocess
import sys

import pytest

ADD = """\
import sys
import torch
import triton
import triton.language as tl

@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n
    tl.store(out + index, tl.load(x + index, mask=inside) + tl.load(y + index, mask=inside), mask=inside)
"""
BODY = """
x = torch.arange(1000, device="cuda", dtype=torch.float32)
out = torch.empty_like(x)
add[(4,)](x, x, out, N, BLOCK=256)
assert out.is_cuda and torch.cuda.is_available()
print(sys.argv[1], torch.cuda.get_device_name(), torch.equal(out, 2 * x), out.cpu()[7].item())
"""


@pytest.fixture
def sim_run(tmp_path):
    def run(text, *arguments):
        script = tmp_path / "script.py"
        script.write_text(text)
        command = [sys.executable, "-m", "cli.main", "sim", "run", str(script), *arguments]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def test_a_script_finds_its_card_and_its_arguments(sim_run):
    done = sim_run(ADD + BODY.replace("N", "1000"), "--device", "sim:a100", "--counters", "--", "--fast")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "--fast NVIDIA A100 SXM4 80GB True 14.0\n"
    assert "add: one launch grid 4×1×1" in done.stderr


def test_a_script_prints_its_tensors_as_on_a_gpu(sim_run):
    done = sim_run("""
import torch, triton
torch.cuda.set_stream(torch.cuda.Stream())
x = torch.arange(3, device="cuda", dtype=torch.float32)
print(x, x.to(torch.int32))
assert triton.testing.do_bench(lambda: x + x) > 0, "PyTorch's own work takes time as well"
print(f"{x.max()} {x.max():.3f}", x.sum())
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "tensor([0., 1., 2.], device='cuda:0') tensor([0, 1, 2], device='cuda:0', dtype=torch.int32)",
        "2.0 2.000 tensor(3., device='cuda:0')",
    ]


def test_a_backward_pass_gives_the_gradients_that_it_gives_on_the_host(sim_run):
    body = """
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, mask, bias):
        ctx.save_for_backward(x, mask)
        ctx.factor = factor
        return x * x * factor * mask + bias, x + 1, x.sum(), x - 1

    @staticmethod
    def backward(ctx, first, second, third, fourth):
        x, mask = ctx.saved_tensors
        # One more than there are arguments, which PyTorch takes when it is None.
        return 2 * x * ctx.factor * mask * first + second + third + fourth, None, None, first.sum(0), None

def net(x, w, b, mask):
    left, right = (x @ w).split(2, -1)
    y, z, *_ = Scaled.apply(torch.relu(left) + torch.softmax(right, -1), 1.5, mask, b)
    h = torch.stack([y, y.exp(), z], 0)[1:].transpose(0, 1)
    return (h * h).mean() + x[0].sum() + b.prod()

def gradients(device):
    torch.manual_seed(3)
    x, w, b = (torch.randn(shape).to(device).requires_grad_() for shape in ((5, 3), (3, 4), (2,)))
    mask = torch.tensor([1.0, 0.0]).to(device)
    for _ in range(2):
        net(x, w, b, mask).backward()
    (w * w).backward(torch.ones(3, 4).to(device))
    x.backward(torch.ones(5, 3).to(device))
    return [leaf.grad.cpu() for leaf in (x, w, b)]

for here, there in zip(gradients("cuda"), gradients("cpu")):
    torch.testing.assert_close(here, there)
print("same")
"""
    done = sim_run(ADD + body)
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr


def test_a_function_that_gives_too_few_gradients_is_told_as_by_pytorch(sim_run):
    body = """
class Lacking(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * y

    @staticmethod
    def backward(ctx, gradient):
        return gradient

Lacking.apply(torch.ones(3, device="cuda", requires_grad=True), torch.ones(3, device="cuda")).sum().backward()
"""
    done = sim_run(ADD + body)
    assert done.returncode == 1
    assert "returned an incorrect number of gradients (expected 2, got 1)" in done.stderr


def test_a_number_is_the_device_of_that_number(sim_run):
    body = """
made = [torch.ones(3).cuda(0), torch.ones(3).to(0), torch.ones(3, device=0), torch.tensor([1.0], device=0)]
made += [torch.ones(3, device="cuda").to(device=0), torch.zeros_like(made[0], device=0), made[0].new_zeros(2, device=0)]
made += [next(torch.nn.Linear(2, 2).cuda(0).parameters()), next(torch.nn.Linear(2, 2).to(0).parameters())]
print({str(one.device) for one in made}, torch.ones(3).to(torch.float16).dtype, torch.ones(2, 3).size(0))
print(torch.cuda.initial_seed() == torch.initial_seed())
"""
    done = sim_run(ADD + body)
    assert (done.returncode, done.stdout) == (0, "{'cuda:0'} torch.float16 2\nTrue\n"), done.stderr


def test_a_kernel_runs_in_inference_mode(sim_run):
    body = """
x = torch.ones(1, 1000, device="cuda")
with torch.inference_mode():
    flat = x.squeeze(0)[None].view(-1)
    y = torch.empty_like(flat)
    add[(4,)](flat, flat, y, 1000, BLOCK=256)
    y.add_(1)
    print((y * flat).sum().item())
"""
    done = sim_run(ADD + body)
    assert (done.returncode, done.stdout) == (0, "3000.0\n"), done.stderr


def test_a_kernel_runs_within_what_torch_compile_writes_around_it(sim_run):
    body = """
from torch._C import _cuda_getCurrentRawStream as get_raw_stream
from torch._dynamo.testing import rand_strided
empty_strided_cuda = torch._C._dynamo.guards._empty_strided_cuda
with torch.cuda._DeviceGuard(0):
    torch.cuda.set_device(0)
    x, out = rand_strided((1000,), (1,), device="cuda:0"), empty_strided_cuda((1000,), (1,), torch.float32)
    stream = get_raw_stream(0)
    add[(4,)](x, x, out, 1000, BLOCK=256)
print(stream, torch.equal(out, x + x))
"""
    done = sim_run(ADD + body)
    assert (done.returncode, done.stdout) == (0, "0 True\n"), done.stderr


def test_a_fault_of_a_kernel_is_the_scripts_own_with_both_lines(sim_run):
    done = sim_run(ADD + BODY.replace("N", "1001"))
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert 'script.py", line 14, in <module>' in done.stderr.splitlines()[1]
    assert "script.py:10" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("raise SystemExit('no luck')", 1, "no luck\n"),
        (
            "from torch.utils.cpp_extension import load_inline\nload_inline('x', 'y')",
            3,
            "`sim run` runs no extension of PyTorch",
        ),
        (
            "import torch\nx = torch.ones(1, device='cuda', requires_grad=True)\ntorch.autograd.grad(outputs=[x * x], inputs=[x])",
            3,
            "torch.autograd.grad on the card's tensors",
        ),
        (
            "import torch\nx = torch.ones(1, device='cuda', requires_grad=True)\n(x * x).backward(create_graph=True)",
            3,
            "create_graph or inputs on the card's tensors",
        ),
        (
            "import torch\nx = torch.ones(1, device='cuda', requires_grad=True)\n(2 * x).register_hook(print)",
            3,
            "register_hook on the card's tensors",
        ),
        (
            "import torch\nx = torch.ones(2, device='cuda', requires_grad=True)\n(2 * x).backward()",
            1,
            "grad can be implicitly created only for scalar outputs",
        ),
        ("import torch\ntorch.ones(1, device='cuda').backward()", 1, "RuntimeError"),
        ("import torch\nx = torch.ones(3, requires_grad=True)\n(x * x).sum().backward()\nassert x.grad[0] == 2", 0, ""),
    ],
    ids=["code", "text", "extension", "grad", "create_graph", "hook", "no_scalar", "no_gradient", "on_the_host"],
)
def test_a_script_ends_as_under_python_or_says_what_is_missing(ending, code, said, sim_run):
    done = sim_run(ending)
    assert done.returncode == code
    assert said in done.stderr

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
            "import torch\nx = torch.ones(3, device='cuda', requires_grad=True)\n(x * x).sum().backward()",
            3,
            "PyTorch's autograd on the card's tensors",
        ),
        (
            "import torch\nx = torch.ones(1, device='cuda', requires_grad=True)\ntorch.autograd.grad(outputs=[x * x], inputs=[x])",
            3,
            "PyTorch's autograd on the card's tensors",
        ),
        ("import torch\nx = torch.ones(3, requires_grad=True)\n(x * x).sum().backward()\nassert x.grad[0] == 2", 0, ""),
    ],
    ids=["code", "text", "extension", "backward", "grad", "on_the_host"],
)
def test_a_script_ends_as_under_python_or_says_what_is_missing(ending, code, said, sim_run):
    done = sim_run(ending)
    assert done.returncode == code
    assert said in done.stderr

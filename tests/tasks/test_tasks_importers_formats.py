"""The formats of robust-kbench, GPU MODE, flashinfer-bench and SOL-ExecBench, on small files written for the tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.importers import Suite, find_tasks, import_found, importer_of
from tasks.importers.flattening import flattened
from tasks.trusted import TrustedProber
from tasks.values import Direction, Purpose

SCALE = '''import torch
from torch import nn


class AutogradFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        y = x * weight
        ctx.save_for_backward(x, weight)
        return y


def forward_fn(x, weight, eps):
    return x * weight + eps


class Model(nn.Module):
    """Scales columns."""

    def __init__(self, features: int = 32, eps: float = 0.5, init_method: str = "ones"):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.eps = eps

    def forward(self, x, fn=forward_fn):
        return fn(x, self.weight, self.eps)


def get_inputs(batch: int = 4, features: int = 32):
    return [torch.randn(batch, features, requires_grad=True)]
'''
SCALE_SETTINGS = {
    "single_input_configs": [{"batch": 512}],
    "single_init_configs": [{"init_method": "random"}],
    "single_shared_configs": [{"features": 300}],
    "multi_input_configs": [{"batch": 8}, {"batch": 16}],
    "multi_init_configs": [{"init_method": "random"}, {"init_method": "ones"}],
    "multi_shared_configs": [{"features": 64}],
}
PROBLEM = """files:
  - {"name": "task.py", "source": "task.py"}
  - {"name": "utils.py", "source": "../utils.py"}
  - {"name": "reference.py", "source": "reference.py"}
tests:
  - {"size": 100, "dim": 64, "seed": 1}
  - {"size": 100, "dim": 64, "seed": 2}
benchmarks:
  - {"size": 1000, "dim": 2048, "seed": 3}
  - {"size": 4000, "dim": 2048, "seed": 4}
"""
UTILS = """import torch


class Quiet:
    def __enter__(self):
        return self

    def __exit__(self, *rest):
        return None


def make_match(reference):
    return unused_elsewhere(reference)


def unused_elsewhere(reference):
    return reference
"""
REFERENCE = """from utils import Quiet, make_match
from task import input_t
import torch


def ref_kernel(data: input_t):
    with Quiet():
        a, out = data
        out[...] = torch.cumsum(a, dim=-1)
        return out


def generate_input(size: int, dim: int, seed: int):
    gen = torch.Generator(device="cuda")
    gen.manual_seed(seed)
    values = torch.randn(size, dim, device="cuda", generator=gen)
    out = torch.empty_like(values)
    return values, out


check_implementation = make_match(ref_kernel)
"""
NORM = {
    "name": "norm_h256",
    "op_type": "norm",
    "description": "Scaled rows. More words.",
    "tags": ["model:example-7b"],
    "axes": {
        "batch": {"type": "var"},
        "hidden": {"type": "const", "value": 2560},
        "half": {"type": "expr", "expression": "hidden // 2"},
    },
    "inputs": {
        "x": {"shape": ["batch", "hidden"], "dtype": "bfloat16"},
        "scale": {"shape": ["half"], "dtype": "float32"},
        "eps": {"shape": None, "dtype": "float32"},
    },
    "outputs": {"y": {"shape": ["batch", "half"], "dtype": "float32"}},
    "reference": "import torch\n\n\ndef run(x, scale, eps):\n    batch, hidden = x.shape\n    assert hidden == 2560\n"
    "    return x[:, : hidden // 2].float() * scale + eps\n",
}


def workload(batch: int, eps: float, kind: str = "random") -> dict[str, object]:
    inputs = {"x": {"type": "random"}, "scale": {"type": kind}, "eps": {"type": "scalar", "value": eps}}
    return {"uuid": f"u{batch}", "axes": {"batch": batch}, "inputs": inputs}


def run(suite: Suite, root: Path):
    importer = importer_of(suite)
    found = find_tasks(suite, root)
    return [one for each in found for one in import_found(importer, each, root, TrustedProber())]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def robust(tmp_path: Path) -> Path:
    for direction in Direction:
        write(tmp_path / "tasks" / "scale" / f"func_{direction}.py", SCALE)
        write(tmp_path / "tasks" / "scale" / f"config_{direction}.json", json.dumps(SCALE_SETTINGS))
    return tmp_path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    folder = tmp_path / "problems" / "basics" / "scan_py"
    write(folder / "task.yml", PROBLEM)
    write(folder / "reference.py", REFERENCE)
    write(folder / "task.py", "from typing import TypeVar\n\ninput_t = TypeVar('input_t')\n")
    write(folder.parent / "utils.py", UTILS)
    return tmp_path


def test_robust_kbench_settings_are_expanded_and_become_constants(robust):
    importer = importer_of(Suite.ROBUST_KBENCH)
    backward, forward = find_tasks(Suite.ROBUST_KBENCH, robust)
    assert (backward.id, forward.id) == ("scale/backward", "scale/forward")
    draft = importer.read(forward, robust)
    assert [(one["batch"], one["features"]) for one in draft.settings] == [(512, 300), (8, 64), (16, 64)]
    assert {one["init_method"] for one in draft.settings} == {"random"}
    assert any("ones" in note for note in draft.notes)
    source = draft.source_at(draft.settings[0])
    assert source.startswith("features = 300\neps = 0.5\ninit_method = 'random'\nbatch = 512\n")


def test_a_backward_task_of_robust_kbench_lists_gradients_and_saved_tensors(robust):
    backward, forward = run(Suite.ROBUST_KBENCH, robust)
    assert forward.task.direction is Direction.FORWARD
    assert backward.task.direction is Direction.BACKWARD
    assert backward.task.gradients == ("x", "weight")
    assert backward.task.saved == ("x", "weight")
    assert [w.axes["batch"] for w in backward.task.workloads_for(Purpose.BENCH)] == [512, 8, 16]


def test_what_a_suite_saves_that_is_no_argument_is_named(robust):
    path = robust / "tasks" / "scale" / "func_backward.py"
    path.write_text(
        SCALE.replace("save_for_backward(x, weight)", "save_for_backward(product, weight)"), encoding="utf-8"
    )
    importer = importer_of(Suite.ROBUST_KBENCH)
    draft = importer.read(find_tasks(Suite.ROBUST_KBENCH, robust)[0], robust)
    assert draft.backward.saved == ("x", "weight")
    assert any("product" in note for note in draft.notes)


def test_a_gpu_mode_problem(problems):
    (scan,) = run(Suite.GPU_MODE, problems)
    assert scan.id == "basics/scan_py"
    assert [axis.name for axis in scan.task.axes] == ["size", "dim"]
    assert [spec.name for spec in scan.task.workloads[0].inputs] == ["values"]
    assert any("'out'" in note for note in scan.notes)
    assert [w.axes["size"] for w in scan.task.workloads_for(Purpose.BENCH)] == [1000, 4000]
    assert {"size": 100, "dim": 64} in [w.axes for w in scan.task.workloads_for(Purpose.VERIFY)]
    assert "unused_elsewhere" not in scan.task.source


DRAWN_BY_CASE = """import torch


def shaped(a, case: str):
    if case == "dense":
        return (a + 1).contiguous()
    return torch.zeros_like(a)


def generate_input(size: int, dim: int, case: str = "dense", seed: int = 0):
    values = torch.randn(size, dim)
    if case == "zero":
        return torch.zeros(size, dim)
    return shaped(values, case).contiguous()


def ref_kernel(data):
    return torch.cumsum(data, dim=-1)


def check_implementation(data, output):
    return torch.equal(ref_kernel(data), output)
"""
CASES = """files: []
tests:
  - {"size": 10, "dim": 64, "seed": 1, "case": "zero"}
benchmarks:
  - {"size": 1000, "dim": 2048, "seed": 3}
  - {"size": 1000, "dim": 2048, "seed": 3, "case": "zero"}
  - {"size": 500, "dim": 2048, "seed": 3, "case": "spread"}
"""


def test_texts_that_only_say_which_values_are_drawn_make_no_variants(problems):
    folder = problems / "problems" / "basics" / "scan_py"
    write(folder / "task.yml", CASES)
    write(folder / "reference.py", DRAWN_BY_CASE)
    (scan,) = run(Suite.GPU_MODE, problems)
    assert [spec.name for spec in scan.task.workloads[0].inputs] == ["data"]
    assert [w.axes["size"] for w in scan.task.workloads_for(Purpose.BENCH)] == [1000, 500]
    assert {"size": 10, "dim": 64} in [w.axes for w in scan.task.workloads_for(Purpose.VERIFY)]
    assert any("'case' (dense, zero, spread)" in note for note in scan.notes)
    assert any("'check_implementation' is not carried over" in note for note in scan.notes)


@pytest.mark.parametrize(
    "change",
    [
        ("return torch.zeros(size, dim)", "return [torch.zeros(size, dim)]"),  # a list is no tensor for sure
        ("return torch.zeros_like(a)", "return shaped(a, case)"),
        ('"zero"', '"float16"'),  # an element type makes another op
    ],
)
def test_texts_that_may_reach_the_op_make_variants(problems, change):
    folder = problems / "problems" / "basics" / "scan_py"
    write(folder / "task.yml", CASES.replace(*change))
    write(
        folder / "reference.py",
        DRAWN_BY_CASE.replace("shaped(values, case).contiguous()", "shaped(values, case)").replace(*change),
    )
    draft = importer_of(Suite.GPU_MODE).read(find_tasks(Suite.GPU_MODE, problems)[0], problems)
    assert len({setting["case"] for setting in draft.settings}) == 3


def test_a_problem_for_several_gpus_is_refused(problems):
    path = problems / "problems" / "basics" / "scan_py" / "task.yml"
    path.write_text(PROBLEM + "multi_gpu: true\n", encoding="utf-8")
    (scan,) = run(Suite.GPU_MODE, problems)
    assert "several GPUs" in scan.refusal


def test_values_that_no_kernel_can_be_given_are_refused(problems):
    path = problems / "problems" / "basics" / "scan_py" / "reference.py"
    text = REFERENCE.replace("return values, out", "return values, object()")
    path.write_text(text.replace("out[...] = torch.cumsum(a, dim=-1)", "out = a"), encoding="utf-8")
    (scan,) = run(Suite.GPU_MODE, problems)
    assert "a object among the inputs" in scan.refusal


def test_flattening_takes_what_is_needed_and_refuses_two_meanings():
    text = flattened(
        "from b import f\n\n\ndef g():\n    return f()\n", {"b": "K = 3\n\n\ndef f():\n    return K\n"}, ["g"]
    )
    assert text == "\n\n\nK = 3\n\n\ndef f():\n    return K\n\n\ndef g():\n    return f()\n"
    with pytest.raises(UserError, match="'K' is defined twice"):
        flattened(
            "from b import f\nK = 4\n\n\ndef g():\n    return f() + K\n",
            {"b": "K = 3\ndef f():\n    return K\n"},
            ["g"],
        )


def test_a_flashinfer_definition(tmp_path):
    write(tmp_path / "definitions" / "norm" / "norm_h256.json", json.dumps(NORM))
    lines = [json.dumps({"definition": "norm_h256", "workload": workload(n, 0.5)}) for n in (700, 900)]
    write(tmp_path / "workloads" / "norm" / "norm_h256.jsonl", "\n".join(lines))
    (norm,) = run(Suite.FLASHINFER_BENCH, tmp_path)
    assert (norm.id, norm.task.title) == ("norm_h256", "Scaled rows")
    assert {axis.name for axis in norm.task.axes} == {"batch", "hidden"}
    assert all(spec.shape[-1] == w.axes["hidden"] // 2 for w in norm.task.workloads for spec in w.inputs[1:])
    bench = norm.task.workloads_for(Purpose.BENCH)
    assert [w.axes for w in bench] == [{"batch": 700, "hidden": 2560}, {"batch": 900, "hidden": 2560}]
    assert bench[0].source == "flashinfer-bench workloads of example-7b"
    assert any("hidden" in note for note in norm.notes)


def test_a_size_that_is_a_number_stays_one(tmp_path):
    inputs = NORM["inputs"] | {"scale": {"shape": ["1", "half"], "dtype": "float32"}}
    write(tmp_path / "norm" / "definition.json", json.dumps(NORM | {"inputs": inputs}))
    write(tmp_path / "norm" / "workload.jsonl", json.dumps(workload(600, 0.5)))
    importer = importer_of(Suite.SOL_EXECBENCH)
    draft = importer.read(find_tasks(Suite.SOL_EXECBENCH, tmp_path)[0], tmp_path)
    assert "torch.randn(1, half, dtype=torch.float32)" in draft.body


def test_a_sol_problem_with_drawn_inputs_and_two_scalars(tmp_path):
    drawn = "\n\ndef draw(sizes, device):\n    return {'scale': torch.rand(sizes['half'], device=device)}\n"
    stated = NORM | {"reference": NORM["reference"] + drawn, "custom_inputs_entrypoint": "draw"}
    write(tmp_path / "norm" / "definition.json", json.dumps(stated))
    lines = [json.dumps(workload(600, eps, "custom")) for eps in (0.5, 0.25)]
    write(tmp_path / "norm" / "workload.jsonl", "\n".join(lines))
    first, second = run(Suite.SOL_EXECBENCH, tmp_path)
    assert (first.id, second.id) == ("norm", "norm@2")
    assert "eps = 0.25" in second.task.source


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"inputs": {"x": {"shape": ["batch"], "dtype": "float8_e4m3fn"}}}, "float8_e4m3fn"),
        ({"inputs": {"x": {"shape": ["length"], "dtype": "float32"}}}, "the axis 'length'"),
        ({"reference": "def go(x):\n    return x\n"}, "no function 'run'"),
        ({"axes": {"batch": {"type": "const"}, "half": {"type": "var"}, "hidden": {"type": "var"}}}, "has a value"),
    ],
)
def test_definitions_that_make_no_task_say_why(tmp_path, change, reason):
    write(tmp_path / "norm" / "definition.json", json.dumps(NORM | change))
    write(tmp_path / "norm" / "workload.jsonl", json.dumps(workload(600, 0.5)))
    (only,) = run(Suite.SOL_EXECBENCH, tmp_path)
    assert reason in only.refusal


def test_integers_out_of_a_file_are_refused(tmp_path):
    inputs = {"x": {"shape": ["batch"], "dtype": "int32"}}
    write(tmp_path / "norm" / "definition.json", json.dumps(NORM | {"inputs": inputs}))
    stated = {
        "axes": {"batch": 5},
        "inputs": {"x": {"type": "safetensors", "path": "a.safetensors", "tensor_key": "x"}},
    }
    write(tmp_path / "norm" / "workload.jsonl", json.dumps(stated))
    (only,) = run(Suite.SOL_EXECBENCH, tmp_path)
    assert "which integers are legal" in only.refusal

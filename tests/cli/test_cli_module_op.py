"""An op of the user's own package, by its name: one command makes it a task and a verified kernel of it."""

from __future__ import annotations

import json

import pytest

from cli.loading import read_task
from cli.main import run

SCALING = "def rescale(x, weight):\n    return x * weight\n"
LAYERS = """
import torch
from torch import nn

from .scaling import rescale


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return rescale(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps), self.weight)


def pick(ids, table, factor=2.0):
    return table[ids] * factor
"""
OP = ("mypkg.layers:RMSNorm", "--shape", "x=8,16,64")


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    root = tmp_path / "mypkg"
    root.mkdir()
    for name, text in {"__init__": "", "scaling": SCALING, "layers": LAYERS}.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_one_command_makes_a_verified_kernel_of_it(capsys):
    code = run(["optimize", *OP, "--yes", "--samples", "1", "--repairs", "0", "--generations", "0", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0, report["attempts"]
    task = report["run"]["config"]["task"]
    assert [axis["name"] for axis in task["axes"]] == ["x_dim0", "x_dim1", "x_dim2"]
    assert [tensor["shape"] for tensor in task["tensors"]] == [["x_dim0", "x_dim1", "x_dim2"], ["x_dim2"]]
    assert report["best"]["verdict"]["status"] == "passed"


def test_what_was_inferred_is_shown_and_wants_a_yes(capsys):
    assert run(["optimize", *OP]) == 2
    shown = capsys.readouterr().err
    assert "RMSNorm of mypkg.layers" in shown
    assert "say --yes if this task is what you mean" in " ".join(shown.split())


def test_a_function_of_a_package_is_shown_with_its_bounds(capsys):
    ids, table = ("--shape", "ids=7:int64"), ("--shape", "table=33,12")
    assert run(["tasks", "show", "mypkg.layers:pick", *ids, *table, "--json"]) == 0
    task = json.loads(capsys.readouterr().out)["task"]
    assert [axis["name"] for axis in task["axes"]] == ["ids_dim0", "table_dim0", "table_dim1"]
    assert [(tensor["name"], tensor["high"]) for tensor in task["tensors"]] == [("ids", "table_dim0"), ("table", None)]


def test_a_wrong_guess_is_corrected_in_the_file_that_was_written(tmp_path, capsys):
    assert run(["tasks", "import", *OP, "--save", "ops"]) == 0
    manifest = tmp_path / "ops" / "rmsnorm.toml"
    text = manifest.read_text(encoding="utf-8")
    assert text.count('name = "x"') == 1
    manifest.write_text(text.replace('name = "x"', 'name = "x"\ndomain = "positive"'), encoding="utf-8")
    capsys.readouterr()
    for name in ("ops/rmsnorm.py", "ops/rmsnorm.toml"):
        task = read_task(name)
        assert [workload.inputs[0].domain.kind for workload in task.workloads] == ["positive"] * len(task.workloads)
        assert [axis.name for axis in task.axes] == ["x_dim0", "x_dim1", "x_dim2"]

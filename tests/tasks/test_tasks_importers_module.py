"""An op of the user's own package becomes a task: found by reading alone, its sizes named, its arguments guessed."""

from __future__ import annotations

import ast
import sys

import pytest

from tasks.constants import module_constants
from tasks.errors import UserError
from tasks.importers.bundling import Library
from tasks.importers.module import is_module_name, read_module_task, wanted
from tasks.manifest import read_manifest_task
from tasks.saving import save_task
from tasks.values import Axis, DType, InputSpec, ProbedSizes, ProbeResult, ReferenceForm

LAYERS = """
import sys
sys.executed = True
import torch
from torch import nn
from . import scaling
from mypkg.sub.deep import *

WIDTH = 4


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x, scale=1.0):
        return scaling.rescale(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps), self.weight)


class Pair(nn.Module):
    def __init__(self, left, right):
        super().__init__()

    def forward(self, x):
        return x


def blend(ids, x, factor=2.0):
    return x[ids] * factor


made = RMSNorm(3)
"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> Library:
    monkeypatch.delattr(sys, "executed", raising=False)
    root = tmp_path / "mypkg"
    (root / "sub").mkdir(parents=True)
    (root / "__init__.py").write_text("from .layers import RMSNorm as Norm, made\n", encoding="utf-8")
    (root / "layers.py").write_text(LAYERS, encoding="utf-8")
    (root / "scaling.py").write_text('def rescale(x, w):\n    """Say \'\'\' in vain."""\n    return x * w\n')
    (root / "sub" / "deep.py").write_text(
        "try:\n    import mypkg.missing\nexcept ImportError:\n    pass\n", encoding="utf-8"
    )
    (root / "apart.py").write_text("raise RuntimeError('never imported')\n", encoding="utf-8")
    (root / "broken.py").write_text("def f(:\n", encoding="utf-8")
    return Library([str(tmp_path), *sys.path])


class PickyProber:
    """Runs where `dim` is a size that it likes; its axes are the constants that the source ties to nothing else."""

    def __init__(self, liked: str = "x_dim2", axes: tuple[str, ...] = ("x_dim0", "x_dim2")) -> None:
        self.sources: list[str] = []
        self._liked, self._axes = liked, axes

    def probe(self, source: str) -> ProbeResult:
        self.sources.append(source)
        init = source.partition("def get_init_inputs():")[2].partition("\n\n")[0]
        if "dim" in init and self._liked not in init and "16" not in init:
            raise UserError("sizes differ")
        names = [name for name in self._axes if name in init or name == "x_dim0"]
        sizes = ProbedSizes(
            axes=dict.fromkeys(names, 4), inputs=(InputSpec(name="x", shape=(4, 4, 4), dtype=DType.FLOAT32),)
        )
        return ProbeResult(
            form=ReferenceForm.MODULE,
            entry="Model",
            axes=tuple(Axis(name=name, default=4) for name in names),
            default=sizes,
            varied=(sizes,),
        )


def test_only_what_the_module_imports_is_handed_on_and_nothing_is_executed(package):
    task = read_module_task("mypkg.layers:RMSNorm", wanted(["x=2,8,16"], []), PickyProber(), package)
    assert not hasattr(sys, "executed")
    (modules,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(task.source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "_MODULES"
    )
    assert set(modules) == {"mypkg", "mypkg.layers", "mypkg.scaling", "mypkg.sub", "mypkg.sub.deep"}
    assert modules["mypkg.layers"] == LAYERS
    assert "'''" in modules["mypkg.scaling"]
    assert module_constants(task.source) == {"x_dim0": 2, "x_dim1": 8, "x_dim2": 16}
    assert (task.slug, task.title) == ("rmsnorm", "RMSNorm of mypkg.layers")


def test_it_is_saved_as_files_that_are_a_task_again(package, tmp_path):
    task = read_module_task("mypkg.layers:RMSNorm", wanted(["x=2,8,16"], []), PickyProber(), package)
    again = read_manifest_task(save_task(task, tmp_path / "saved"))
    assert again.source == task.source
    for found, stated in zip(again.workloads, task.workloads, strict=True):
        assert found.model_copy(update={"name": stated.name}) == stated


def test_a_missing_argument_is_guessed_from_the_sizes_the_last_first(package):
    prober = PickyProber(liked="x_dim1")
    task = read_module_task("mypkg:Norm", wanted(["x=2,8,16"], []), prober, package)
    assert len(prober.sources) == 2
    assert "return {'dim': x_dim1}" in task.source
    with pytest.raises(UserError, match="none of the sizes of 'x': give it, as --init dim="):
        read_module_task("mypkg:Norm", wanted(["x=2,8,16"], []), PickyProber(liked="nothing"), package)


def test_a_given_argument_follows_a_size_only_where_that_lets_it_vary(package):
    tied = read_module_task("mypkg:Norm", wanted(["x=2,8,16"], ["dim=16"]), PickyProber(), package)
    assert "return {'dim': x_dim2}" in tied.source
    fixed = read_module_task("mypkg:Norm", wanted(["x=2,8,16"], ["16", "1e-3"]), PickyProber(axes=()), package)
    assert "return [16, 0.001]" in fixed.source


@pytest.mark.parametrize(
    ("name", "shapes", "init", "sentence"),
    [
        ("mypkg.layers:RMSNorm", [], [], "as --shape x=8,1024,4096"),
        ("mypkg.layers:RMSNorm", ["x=a"], [], "'x=a' is no shape"),
        ("mypkg.layers:RMSNorm", ["x=4:int7"], [], "'int7' is no element type"),
        ("mypkg.layers:RMSNorm", ["x=4"], ["dim=[1]"], "is no argument"),
        ("mypkg.layers:RMSNorm", ["x=4"], ["4", "eps=1e-3"], "all by name, or all by position"),
        ("mypkg.layers:RMSNorm", ["y=4"], [], "takes no 'y', but x, scale"),
        ("mypkg.layers:blend", ["x=4"], [], "also takes ids: give --shape ids="),
        ("mypkg.layers:blend", ["x=4", "ids=3:int64"], ["4"], "is a function: it takes no --init"),
        ("mypkg.layers:Pair", ["x=4"], [], "constructed with left, right: give them, as --init left=... --init right="),
        ("mypkg.layers:Nothing", ["x=4"], [], "defines no class or function 'Nothing'"),
        ("mypkg:made", ["x=4"], [], "defines no class or function 'made'"),
        ("nowhere.at_all:Op", ["x=4"], [], "there is no Python module 'nowhere.at_all'"),
        ("mypkg.broken:Op", ["x=4"], [], "'mypkg.broken' is not valid Python at line 1"),
    ],
)
def test_each_mistake_is_one_sentence(package, name, shapes, init, sentence):
    with pytest.raises(UserError) as caught:
        read_module_task(name, wanted(shapes, init), PickyProber(), package)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_of_ops_are_told_from_files_and_suites():
    assert all(map(is_module_name, ("mypkg.layers:RMSNorm", "ops:f")))
    assert not any(map(is_module_name, ("softmax", "a/b.py", "kernelbench:1/23", "run:12", "a-b:c", "mypkg.layers")))


def test_inputs_stand_in_the_order_of_the_op_and_share_equal_sizes(package):
    prober = PickyProber()
    source = read_module_task("mypkg.layers:blend", wanted(["x=6,5", "ids=3,5:int64"], []), prober, package).source
    inputs = source.partition("def get_inputs():")[2]
    assert inputs.index("torch.randint(0, 2, (ids_dim0, x_dim1), dtype=torch.int64)") < inputs.index("torch.randn")
    assert module_constants(source) == {"x_dim0": 6, "x_dim1": 5, "ids_dim0": 3}
    assert "def blend(" in source


def test_an_installed_op_is_imported_from_where_it_is():
    library = Library()
    task = read_module_task("torch.nn:LayerNorm", wanted(["input=4,16"], ["16"]), PickyProber(axes=()), library)
    assert "from torch.nn import LayerNorm as _Target" in task.source
    assert "_MODULES" not in task.source

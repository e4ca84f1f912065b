"""Importing from suites: what is found, which variants a task has, what is refused, and names such as `SUITE:ID`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.importers import Suite, find_tasks, import_found, importer_of, is_suite_name, read_suite_task
from tasks.importers.importing import Importer
from tasks.importers.licences import licence_above
from tasks.importers.settings import ImportSettings
from tasks.importers.values import Draft, Found
from tasks.loading import load_task
from tasks.saving import save_task
from tasks.trusted import TrustedProber
from tasks.values import Provenance, Purpose, Visibility

MIT = "Permission is hereby granted, free of charge, to any person to deal in the Software without restriction"
SQUARE = '''import torch
from torch import nn

rows = 4096
cols = 2048


class Model(nn.Module):
    """Squares."""

    def forward(self, x):
        return {result}


def get_inputs():
    return [torch.rand(rows, cols)]
'''
STATED = """import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :: self.stride] * 2


def get_inputs():
    return [torch.rand(rows, cols) * spread]


def get_init_inputs():
    return [stride]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "LICENSE").write_text(MIT, encoding="utf-8")
    level = tmp_path / "KernelBench" / "level1"
    level.mkdir(parents=True)
    for number, name, result in (
        (2, "Square", "x * x"),
        (10, "Noise", "x * torch.rand_like(x)"),
        (3, "Nothing", "x * 0.0 + 1.0"),
    ):
        (level / f"{number}_{name}.py").write_text(SQUARE.format(result=result), encoding="utf-8")
    (level / "notes.py").write_text("", encoding="utf-8")
    return tmp_path


class StatedImporter:
    """States one task with settings of its own choosing."""

    suite = Suite.KERNELBENCH

    def __init__(self, *settings: dict[str, int], small: tuple[dict[str, int], ...] = ()) -> None:
        self._settings = settings
        self._small = small

    def find(self, root: Path) -> tuple[Found, ...]:
        return (Found(id="1/1", path=root),)

    def read(self, found: Found, root: Path) -> Draft:
        del root
        return Draft(
            name=found.id,
            body=STATED,
            settings=self._settings,
            small=self._small,
            source="the test",
            provenance=Provenance(origin="the test", licence="MIT"),
        )


def imported(importer: Importer, root: Path):
    return [one for found in importer.find(root) for one in import_found(importer, found, root, TrustedProber())]


def setting(rows: int, cols: int, stride: int = 2, spread: int = 1) -> dict[str, int]:
    return {"rows": rows, "cols": cols, "stride": stride, "spread": spread}


def test_kernelbench_problems_are_found_by_level_and_number(checkout):
    assert [found.id for found in find_tasks(Suite.KERNELBENCH, checkout)] == ["1/2", "1/3", "1/10"]
    one = find_tasks(Suite.KERNELBENCH, checkout / "KernelBench" / "level1" / "2_Square.py")
    assert [found.id for found in one] == ["1/2"]


def test_what_was_imported_and_what_was_refused_with_its_reason(checkout):
    square, nothing, noise = imported(importer_of(Suite.KERNELBENCH), checkout)
    assert square.task.slug == "kernelbench-1-2-square"
    assert square.task.title == "Squares."
    assert square.task.provenance == Provenance(origin="KernelBench, problem 1/2", licence="MIT")
    assert [w.axes for w in square.task.workloads_for(Purpose.BENCH)] == [{"rows": 4096, "cols": 2048}]
    assert nothing.task is None
    assert "degenerate" in nothing.refusal
    assert noise.task is None
    assert "random" in noise.refusal


FETCHES = """from transformers import AutoConfig, AutoModelForCausalLM

config = AutoConfig.from_pretrained("example/model")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = AutoModelForCausalLM.from_pretrained("example/model", config=config)
"""


def test_a_model_that_is_fetched_is_refused_before_anything_runs(tmp_path):
    level = tmp_path / "level4"
    level.mkdir()
    (level / "7_example_bs32.py").write_text(FETCHES, encoding="utf-8")
    importer = importer_of(Suite.KERNELBENCH)
    with pytest.raises(UserError, match=r"hub .* \(AutoConfig.from_pretrained\)"):
        importer.read(importer.find(tmp_path)[0], tmp_path)


def test_a_missing_package_is_named_with_what_to_do(checkout):
    square = checkout / "KernelBench" / "level1" / "2_Square.py"
    text = square.read_text(encoding="utf-8")
    square.write_text(f"from not_installed_here.ops import fold\n{text}", encoding="utf-8")
    (only,) = imported(importer_of(Suite.KERNELBENCH), square)
    assert "'not_installed_here' (line 1), which is not installed here" in only.refusal
    assert "`pip install not_installed_here`" in only.refusal


def test_settings_that_only_change_sizes_or_values_make_one_task(tmp_path):
    importer = StatedImporter(setting(512, 256), setting(1024, 256), setting(512, 256, spread=9))
    (only,) = imported(importer, tmp_path)
    bench = only.task.workloads_for(Purpose.BENCH)
    assert [w.axes for w in bench] == [{"rows": 512, "cols": 256}, {"rows": 1024, "cols": 256}]
    assert {w.source for w in bench} == {"the test"}
    assert {w.visibility for w in only.task.workloads_for(Purpose.VERIFY)} == set(Visibility)


def test_settings_that_change_the_op_make_variants(tmp_path):
    importer = StatedImporter(setting(512, 256), setting(512, 256, stride=4), setting(64, 256))
    first, second = imported(importer, tmp_path)
    assert (first.id, second.id) == ("1/1", "1/1@2")
    assert (first.task.slug, second.task.slug) == ("1-1", "1-1-2")
    assert len(first.task.workloads_for(Purpose.BENCH)) == 2
    assert "stride = 4" in second.task.source


def test_small_sizes_of_a_suite_are_checked_at_and_large_ones_named(tmp_path):
    importer = StatedImporter(setting(512, 256), small=(setting(24, 40), setting(4096, 4096)))
    (only,) = imported(importer, tmp_path)
    assert {"rows": 24, "cols": 40} in [w.axes for w in only.task.workloads_for(Purpose.VERIFY)]
    assert any("1 of the 2 sizes" in note for note in only.notes)


def test_a_saved_task_reads_back_the_same(tmp_path):
    (only,) = imported(StatedImporter(setting(512, 256), setting(1024, 128)), tmp_path)
    saved = save_task(only.task, tmp_path / "saved")
    read = load_task(str(saved), TrustedProber())
    same = {"workloads": only.task.workloads, "source": only.task.source, "axes": only.task.axes}
    assert {name: getattr(read, name) for name in same} == same
    with pytest.raises(UserError, match="exists already"):
        save_task(only.task, tmp_path / "saved")


def test_a_task_of_a_suite_by_name(checkout):
    settings = ImportSettings(kernelbench_dir=checkout)
    assert read_suite_task("kernelbench:1/2", TrustedProber(), settings).entry == "Model"
    with pytest.raises(UserError, match="degenerate"):
        read_suite_task("kernelbench:1/3", TrustedProber(), settings)
    with pytest.raises(UserError, match="no '@2'"):
        read_suite_task("kernelbench:1/2@2", TrustedProber(), settings)
    with pytest.raises(UserError, match="did you mean"):
        read_suite_task("kernelbench:1/22", TrustedProber(), settings)
    with pytest.raises(UserError, match="KERNELWRIGHT_GPU_MODE_DIR"):
        read_suite_task("gpu-mode:pmpp/sort", TrustedProber(), ImportSettings())


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("kernelbench:1/2", True),
        ("sol-execbench:a/b@3", True),
        ("other:1", False),
        ("softmax", False),
        ("a:b.py", False),
    ],
)
def test_names_of_suites(name, holds):
    assert is_suite_name(name) is holds


def test_a_folder_without_the_format_is_named(tmp_path):
    for suite in Suite:
        with pytest.raises(UserError, match="holds no task in the format"):
            find_tasks(suite, tmp_path)


def test_the_nearest_licence_counts_and_none_is_unknown(checkout, tmp_path_factory):
    level = checkout / "KernelBench" / "level1"
    assert licence_above(level / "2_Square.py", checkout) == "MIT"
    (level / "LICENSE").write_text("Apache License\n Version 2.0, January 2004", encoding="utf-8")
    assert licence_above(level / "2_Square.py", checkout) == "Apache-2.0"
    (level / "LICENSE").write_text("All rights reserved.", encoding="utf-8")
    assert licence_above(level / "2_Square.py", checkout) == "unknown"
    bare = tmp_path_factory.mktemp("bare")
    (bare / ".git").mkdir()
    assert licence_above(bare / "level1" / "1_A.py", bare) == "unknown"

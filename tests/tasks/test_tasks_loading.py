"""From a name to a task: files, library tasks, and the sentences for names that are neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.inference import slug_of, task_from_probe
from tasks.loading import LIBRARY, library, library_task, load_task
from tasks.manifest import read_manifest_task
from tasks.trusted import TrustedProber
from tasks.values import (
    Axis,
    DType,
    InputSpec,
    ProbedSizes,
    ProbeResult,
    Purpose,
    ReferenceForm,
    Visibility,
)


class CannedProber:
    """Answers with a fixed result, and remembers what it was asked."""

    def __init__(self, sets: int = 3) -> None:
        self.sources: list[str] = []
        self._sets = sets

    def probe(self, source: str) -> ProbeResult:
        self.sources.append(source)
        return ProbeResult(
            form=ReferenceForm.FUNCTION,
            entry="op",
            axes=(Axis(name="n", default=4096),),
            default=self._at(4096),
            varied=tuple(self._at(n) for n in range(1, self._sets + 1)),
        )

    def _at(self, n: int) -> ProbedSizes:
        return ProbedSizes(axes={"n": n}, inputs=(InputSpec(name="x", shape=(n,), dtype=DType.FLOAT32),))


SOURCE = '"""Doubles numbers.\n\nMore.\n"""\nn = 4096\n'


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "23_My Softmax!.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_a_file_becomes_a_task_with_public_hidden_and_bench_workloads(source_file):
    prober = CannedProber()
    task = load_task(str(source_file), prober)
    assert prober.sources == [SOURCE] == [task.source]
    assert (task.slug, task.title, task.entry) == ("23_my-softmax", "Doubles numbers.", "op")
    verify = task.workloads_for(Purpose.VERIFY)
    assert [(w.name, w.visibility) for w in verify] == [
        ("n=1", Visibility.PUBLIC),
        ("n=2", Visibility.HIDDEN),
        ("n=3", Visibility.PUBLIC),
    ]
    (bench,) = task.workloads_for(Purpose.BENCH)
    assert (bench.name, bench.axes, bench.inputs[0].shape) == ("bench:n=4096", {"n": 4096}, (4096,))
    assert len({w.name for w in task.workloads}) == len(task.workloads)


def test_a_task_of_one_size_is_verified_hidden_too(source_file):
    verify = load_task(str(source_file), CannedProber(sets=1)).workloads_for(Purpose.VERIFY)
    assert {w.visibility for w in verify} == set(Visibility)
    assert len({w.name for w in verify}) == 2


def test_the_title_is_the_docstring_of_the_op_or_of_the_file_or_the_name():
    op = 'def op(x):\n    """Doubles.\n\n    Slowly.\n    """\n'
    titles = [task_from_probe("name", text, CannedProber().probe("")).title for text in (SOURCE + op, SOURCE, "n = 1")]
    assert titles == ["Doubles.", "Doubles numbers.", "name"]


@pytest.mark.parametrize(("name", "slug"), [("Soft Max", "soft-max"), ("a_b-1", "a_b-1"), ("ß", "task")])
def test_slugs_have_plain_letters(name, slug):
    assert slug_of(name) == slug


def test_a_slug_loads_without_a_probe():
    prober = CannedProber()
    assert load_task("softmax", prober) is library_task("softmax")
    assert not prober.sources


def test_the_example_loads(request):
    example = request.config.rootpath / "examples" / "softmax.py"
    task = load_task(str(example), TrustedProber())
    assert (task.slug, task.form) == ("softmax", ReferenceForm.MODULE)
    assert len(task.workloads_for(Purpose.VERIFY, Visibility.HIDDEN)) >= 3
    assert task == task_from_probe("softmax", task.source, TrustedProber().probe(task.source))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sofmax", r"no task 'sofmax' \(did you mean softmax.*'kernelwright tasks list'"),
        ("zzzzz", r"no task 'zzzzz'; 'kernelwright tasks list'"),
        ("layernorm.py", r"no file 'layernorm\.py' \(did you mean layernorm.*kernelwright tasks list"),
        ("no/such/op.py", r"no file 'no/such/op\.py'"),
        ("no/such/op", r"no file 'no/such/op'"),
    ],
)
def test_a_wrong_name_is_answered_with_close_ones(name, sentence):
    with pytest.raises(UserError, match=sentence):
        load_task(name, CannedProber())


def test_a_wrong_path_is_answered_with_the_files_beside_it(source_file):
    with pytest.raises(UserError, match=r"did you mean 23_My Softmax!\.py"):
        load_task(str(source_file.with_name("23_My Sotfmax!.py")), CannedProber())


def test_what_is_no_source_file_is_refused(tmp_path):
    other, binary, large = tmp_path / "op.txt", tmp_path / "op.py", tmp_path / "large.py"
    other.write_text("x")
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b"#" * ((1 << 20) + 1))
    for path, sentence in [
        (tmp_path, "is a folder"),
        (other, r"is not a \.py file"),
        (binary, "is not UTF-8"),
        (large, "too many for a reference"),
    ]:
        with pytest.raises(UserError, match=sentence):
            load_task(str(path), CannedProber())


def test_library_slugs_are_unique_and_every_source_has_its_manifest():
    assert [task.slug for task in library()] == sorted(path.stem for path in LIBRARY.glob("*.toml"))
    assert len({task.content_hash for task in library()}) == len(library())
    assert {task.provenance.licence for task in library()} == {"Apache-2.0"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[axes.cols]", "[axes.width]", "names axes that are no constants of softmax.py: width"),
        ("cols = 129", "depth = 129", "must state a size for each of rows, cols"),
        ("rows = 7,", "rows = 0,", "outside the range of 'rows'"),
        ('purpose = "bench"', 'purpose = "race"', "not a valid task manifest"),
        ('source = "attention', 'origin = "attention', "not a valid task manifest"),
        ('"cols"]', '"2 * depth"]', "unknown name 'depth'"),
        ("title =", "title", "not a valid task manifest"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_sentence(tmp_path, old, new, sentence):
    source = tmp_path / "softmax.py"
    source.write_text((LIBRARY / "softmax.py").read_text(encoding="utf-8"), encoding="utf-8")
    text = (LIBRARY / "softmax.toml").read_text(encoding="utf-8")
    assert old in text
    source.with_suffix(".toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=sentence) as caught:
        read_manifest_task(source)
    assert "\n" not in str(caught.value)


def test_a_library_source_without_manifest_is_one_sentence(tmp_path):
    (tmp_path / "op.py").write_text("x = 1")
    with pytest.raises(UserError, match=r"'op' lacks its file op\.toml"):
        read_manifest_task(tmp_path / "op.py")

"""The right kernels of the benchmarks: raw ones, the library's, the exploits' honest twins, the offline proposer's."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from agent.offline.candidates import Target, ranked
from agent.offline.emit import emit
from agent.offline.trace import SandboxTracer, understand
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from tasks.values import Direction, Value

KERNELS = Path(__file__).with_name("kernels")
LIBRARY = Path(__file__).parents[2] / "examples" / "kernels"
TWINS = Path(__file__).parents[2] / "tests" / "exploits" / "kernels"
SOURCES = ("raw", "library", "examples", "twins", "offline")
"""Where subjects come from: what stands before the slash in their names. `library` is a part of `examples`."""
SLUGS = (
    *("relu", "gelu_tanh", "softmax", "log_softmax", "layernorm", "rmsnorm", "matmul", "linear_bias_gelu"),
    *("row_sum", "cross_entropy", "residual_layernorm", "softmax_backward"),
)
SIXTEEN_BIT = ("gelu_tanh_fp16", "layernorm_fp16", "matmul_fp16", "matmul_bf16", "rmsnorm_bf16", "softmax_bf16")
_SMS = 132


@dataclass(frozen=True, slots=True)
class Subject:
    """A kernel that is right."""

    name: str
    task: str
    """Slug of the library task that it solves."""
    candidate: Candidate


class _Entry(Value):
    source: str
    task: str
    parts: tuple[str, ...]
    variants: tuple[dict[str, int], ...]
    launch: str


def raw_subjects() -> Iterator[Subject]:
    """Yield the kernels of `kernels/kernels.toml`."""
    tables = tomllib.loads((KERNELS / "kernels.toml").read_text(encoding="utf-8"))["kernel"]
    for entry in map(_Entry.model_validate, tables):
        for variant in entry.variants:
            yield _raw(entry, variant)


def _raw(entry: _Entry, variant: dict[str, int]) -> Subject:
    constants = "".join(f"constexpr int {name} = {value};\n" for name, value in variant.items())
    texts = [(KERNELS / name).read_text(encoding="utf-8") for name in (*entry.parts, entry.source)]
    files = (
        SourceFile(name="kernel.cu", text="\n".join((constants, *texts))),
        SourceFile(name="launch.toml", text=Template(entry.launch).substitute(variant).strip() + "\n"),
    )
    label = ",".join(f"{name}={value}" for name, value in variant.items())
    name = f"raw/{Path(entry.source).stem}[{label}]"
    return Subject(name, entry.task, Candidate(language=Language.RAW, files=files, entry=_entry(entry.task)))


def library_subjects() -> Iterator[Subject]:
    """Yield right kernels of `examples/kernels`, in the PyTorch extension style."""
    for slug in (*SLUGS, *SIXTEEN_BIT):
        yield _cuda(f"library/{slug}", slug, (LIBRARY / f"{slug}.cu").read_text(encoding="utf-8"))


def example_subjects() -> Iterator[Subject]:
    """Yield every kernel of `examples/kernels`, in each of its languages; a kernel is called after its task."""
    for path in sorted(LIBRARY.glob("*.cu")):
        yield _cuda(f"examples/{path.stem}", path.stem, path.read_text(encoding="utf-8"))
    for path in sorted(LIBRARY.glob("triton/*.py")):
        yield _example(f"examples/triton/{path.stem}", path.stem, Language.TRITON, [path])
    for folder in sorted(LIBRARY.glob("raw/*/")):
        yield _example(f"examples/raw/{folder.name}", folder.name, Language.RAW, sorted(folder.iterdir()))


def _example(name: str, slug: str, language: Language, paths: Iterable[Path]) -> Subject:
    files = tuple(SourceFile(name=path.name, text=path.read_text(encoding="utf-8")) for path in paths)
    return Subject(name, slug, Candidate(language=language, files=files, entry=_entry(slug)))


def twin_subjects() -> Iterator[Subject]:
    """Yield the honest kernels that look like cheats; the first line of each names its task."""
    for path in sorted(TWINS.glob("honest_*.cu")):
        text = path.read_text(encoding="utf-8")
        yield _cuda(f"twins/{path.stem}", text.split("\n", 1)[0].removeprefix("// ").split(":")[0], text)


def offline_subjects(schedules: int) -> Iterator[Subject]:
    """Yield the offline proposer's kernels: for each task its best guess, then evenly spaced later ones."""
    tracer = SandboxTracer()
    for slug in SLUGS:
        traced = understand(library_task(slug), tracer)
        every = ranked(traced.program, Target(traced.benchmarks, _SMS))
        step = max(len(every) // schedules, 1)
        for number in range(0, len(every), step)[:schedules]:
            yield _cuda(f"offline/{slug}-{number}", slug, emit(traced.program, every[number]))


def subjects_of(sources: Iterable[str], schedules: int) -> list[Subject]:
    """Return the subjects of some sources, in their order.

    Parameters
    ----------
    sources
        Of `SOURCES`; ValueError for any other.
    schedules
        Kernels of the offline proposer for each task.
    """
    found: list[Subject] = []
    for source in sources:
        match source:
            case "raw":
                found += raw_subjects()
            case "library":
                found += library_subjects()
            case "examples":
                found += example_subjects()
            case "twins":
                found += twin_subjects()
            case "offline":
                found += offline_subjects(schedules)
            case _:
                raise ValueError(f"there are no subjects called '{source}'; there are {', '.join(SOURCES)}")
    return found


def _cuda(name: str, slug: str, text: str) -> Subject:
    files = (SourceFile(name="kernel.cu", text=text),)
    return Subject(name, slug, Candidate(language=Language.CUDA, files=files, entry=_entry(slug)))


def _entry(slug: str) -> str:
    return "backward" if library_task(slug).direction is Direction.BACKWARD else "forward"

"""Sets the simulator against a real card: times as modelled and as measured, and results bit for bit.

`python benchmarks/card.py --device cuda:0 --output build/card-cuda` on a machine with the card, the same with
`--device sim:h100 --output build/card-sim` anywhere, then `python benchmarks/card.py --compare build/card-cuda
build/card-sim`.

Every kernel of `examples/kernels` is called once at the largest public verify workload of its task, on the same values,
and timed at the first bench workload, against eager PyTorch. An output is a folder with one JSON file and one file of
results for each kernel; a run goes on where it stopped. Kernels are built and values drawn several at a time; the
device works for one at a time.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file lies a script called simgpu

import numpy as np
import numpy.typing as npt

from benchmarks.mutants.subjects import Subject, subjects_of
from sandbox.devices import parse_device
from sandbox.settings import SandboxSettings
from sandbox.values import Basis, Build, Device, DeviceKind, Execution, ExitState, Limits, Tensor
from tasks.errors import CandidateError, InfraError, UserError
from tasks.loading import library_task
from tasks.values import Construction, DType, Purpose, Task, Value, Visibility, Workload
from verifier.bench import bench
from verifier.draws import candidate_arguments, draw_values
from verifier.inputs import Distribution
from verifier.laboratory import CandidateRunner, EagerRunner
from verifier.sandboxed import SandboxLaboratory
from verifier.tensors import Array, to_array

BoolArray = npt.NDArray[np.bool_]

SEED = 20
"""The same values on every device."""
LIMITS = Limits(wall_seconds=600.0)
"""A simulated device takes minutes for sizes that a card does in microseconds."""


class Record(Value):
    """What one device gave for one kernel."""

    kernel: str
    task: str
    family: str
    candidate_hash: str
    device: str
    """The measurement's fingerprint."""
    basis: Basis
    workload: str
    """The bench workload."""
    candidate_us: float
    eager_us: float
    floor_us: float
    speedup: float
    called_at: str
    """The verify workload at which results were taken."""
    results: tuple[DType, ...]
    """Their types, in order."""


class OneAtATime:
    """The sandbox's laboratory with a device that works for one caller at a time.

    Parameters
    ----------
    inner
        Builds and runs.
    """

    def __init__(self, inner: SandboxLaboratory) -> None:
        self._inner = inner
        self._device = threading.Lock()
        self.prepare, self.build, self.reference, self.figures = (
            inner.prepare,
            inner.build,
            inner.reference,
            inner.figures,
        )

    @contextmanager
    def candidate(self, build: Build, device: Device, limits: Limits | None) -> Iterator[CandidateRunner]:
        """Open a candidate that takes turns."""
        with self._inner.candidate(build, device, limits) as runner:
            # Only a card's times depend on what else it does.
            yield _Candidate(runner, self._device) if device.kind is DeviceKind.CUDA else runner

    @contextmanager
    def eager(self, task: Task, device: Device, limits: Limits | None) -> Iterator[EagerRunner]:
        """Open eager PyTorch, which takes turns."""
        with self._inner.eager(task, device, limits) as runner:
            yield _Eager(runner, self._device)


class _Candidate:
    def __init__(self, runner: CandidateRunner, device: threading.Lock) -> None:
        self._runner = runner
        self._device = device

    @property
    def isolation(self) -> str:
        return self._runner.isolation

    def call(
        self,
        arguments: Sequence[Tensor],
        *,
        checks: bool = True,
        counters: bool = False,
        schedule_seed: int | None = None,
        return_arguments: bool = True,
        construction: Construction | None = None,
    ) -> Execution:
        with self._device:
            return self._runner.call(
                arguments,
                checks=checks,
                counters=counters,
                schedule_seed=schedule_seed,
                return_arguments=return_arguments,
                construction=construction,
            )

    def bench(
        self, argument_sets: Sequence[Sequence[Tensor]], repeats: int, *, construction: Construction | None = None
    ) -> Execution:
        with self._device:
            return self._runner.bench(argument_sets, repeats, construction=construction)


class _Eager:
    def __init__(self, runner: EagerRunner, device: threading.Lock) -> None:
        self._runner = runner
        self._device = device

    def time(
        self, workload: Workload, tensors: Mapping[str, Tensor], repeats: int, output_gradients: Sequence[Tensor] = ()
    ) -> tuple[float, ...]:
        with self._device:
            return self._runner.time(workload, tensors, repeats, output_gradients)


def main() -> None:
    """Measure one device, or compare two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="sim:h100", help="what runs the kernels")
    parser.add_argument("--output", type=Path, help="folder of results, added to")
    parser.add_argument("--only", default="", help="kernels whose name holds this")
    parser.add_argument("--jobs", type=int, default=2, help="kernels made ready at a time")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after these no further kernel is begun")
    parser.add_argument("--compare", type=Path, nargs=2, help="print two outputs side by side, the card's first")
    options = parser.parse_args()
    if options.compare:
        print("\n".join(comparison(*options.compare)))
        return
    if options.output is None:
        parser.error("--output says where the results go")
    options.output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    subjects = [one for one in _mixed(subjects_of(["examples"], 1)) if options.only in one.name]
    left = [one for one in subjects if not _file(options.output, one, "json").exists()]
    settings = SandboxSettings.load().model_copy(update={"compile_seconds": LIMITS.wall_seconds})
    with SandboxLaboratory(settings) as inner, ThreadPoolExecutor(options.jobs) as pool:
        laboratory = OneAtATime(inner)
        work = lambda one: _run(laboratory, one, parse_device(options.device), options.output, end)  # noqa: E731
        for number, line in enumerate(pool.map(work, left), 1):
            print(f"{number} of {len(left)}  {line}", flush=True)


def _mixed(subjects: Sequence[Subject]) -> list[Subject]:
    """Take turns among the families, so that a run that is cut short has seen them all."""
    places: dict[str, int] = {}
    keyed = []
    for subject in subjects:
        family = library_task(subject.task).family
        places[family] = places.get(family, -1) + 1
        keyed.append((places[family], family, subject))
    return [subject for _, _, subject in sorted(keyed, key=lambda item: item[:2])]


def _file(folder: Path, subject: Subject, ending: str) -> Path:
    return folder / f"{subject.name.replace('/', '-')}.{ending}"


def _run(laboratory: OneAtATime, subject: Subject, device: Device, folder: Path, end: float) -> str:
    if time.monotonic() > end:
        return f"{subject.name} was not begun: the time is over"
    start = time.perf_counter()
    try:
        record, results = _measured(laboratory, subject, device)
    except (CandidateError, InfraError, UserError) as error:
        return f"{subject.name}: {type(error).__name__}: {error}"
    np.savez_compressed(_file(folder, subject, "npz"), *results)
    _file(folder, subject, "json").write_text(record.model_dump_json() + "\n", encoding="utf-8")
    seconds = time.perf_counter() - start
    return (
        f"{subject.name}: {record.candidate_us:.1f} us, eager {record.eager_us:.1f} us "
        f"({record.basis.value}), {seconds:.0f} s"
    )


def _measured(laboratory: OneAtATime, subject: Subject, device: Device) -> tuple[Record, list[Array]]:
    task = library_task(subject.task)
    checked = [w for w in task.workloads_for(Purpose.VERIFY) if w.visibility is Visibility.PUBLIC]
    called = max(checked, key=lambda w: sum(math.prod(spec.shape) for spec in w.inputs))
    timed = task.workloads_for(Purpose.BENCH)[0]
    with laboratory.reference(task, LIMITS) as reference:
        values = draw_values(reference, task, called, Distribution.NORMAL, SEED)
        arguments = candidate_arguments(reference, task, called, values)
    with laboratory.candidate(laboratory.build(subject.candidate, device), device, LIMITS) as runner:
        execution = runner.call(arguments, return_arguments=False)
    if execution.state is not ExitState.OK:
        raise CandidateError(f"{execution.state} at {called.name}: {execution.message}")
    only = task.model_copy(update={"workloads": (*checked, timed)})
    found = bench(only, subject.candidate, device, seed=SEED, limits=LIMITS, laboratory=laboratory)
    (timing,) = found.timings
    record = Record(
        kernel=subject.name,
        task=task.slug,
        family=task.family,
        candidate_hash=subject.candidate.content_hash,
        device=found.fingerprint,
        basis=found.basis,
        workload=timing.workload,
        candidate_us=timing.median_us,
        eager_us=timing.baseline_us,
        floor_us=timing.floor_us,
        speedup=timing.speedup,
        called_at=called.name,
        results=tuple(tensor.dtype for tensor in execution.outputs),
    )
    return record, [to_array(tensor) for tensor in execution.outputs]


def comparison(card: Path, simulated: Path) -> Iterator[str]:
    """Yield what two folders say of the same kernels, as Markdown."""
    first, second = _records(card), _records(simulated)
    names = [name for name in first if name in second and first[name].candidate_hash == second[name].candidate_hash]
    if not names:
        yield "No kernel is in both."
        return
    one, other = first[names[0]], second[names[0]]
    yield f"{len(names)} kernels, {one.device} ({one.basis.value}) and {other.device} ({other.basis.value})."
    yield ""
    times = ("measured us", "modelled us", "ratio")
    columns = ("kernel", "family", *times, *(f"eager {name}" for name in times), "results")
    yield f"| {' | '.join(columns)} |"
    yield "| --- " * len(columns) + "|"
    for name in names:
        a, b = first[name], second[name]
        yield (
            f"| {name.removeprefix('examples/')} | {a.family} | {a.candidate_us:.1f} | {b.candidate_us:.1f} "
            f"| {b.candidate_us / a.candidate_us:.2f} | {a.eager_us:.1f} | {b.eager_us:.1f} "
            f"| {b.eager_us / a.eager_us:.2f} | {_agreement(card, simulated, a)} |"
        )
    yield ""
    yield from _summary([(first[name], second[name]) for name in names])


def _summary(pairs: Sequence[tuple[Record, Record]]) -> Iterator[str]:
    figures: dict[str, Callable[[Record], float]] = {
        "candidates": attrgetter("candidate_us"),
        "eager PyTorch": attrgetter("eager_us"),
        "speed-up": attrgetter("speedup"),
    }
    for title, of in figures.items():
        measured = np.array([of(a) for a, _ in pairs])
        modelled = np.array([of(b) for _, b in pairs])
        logs = np.log(modelled / measured)
        within = [float(np.mean(np.abs(logs) <= math.log(factor))) for factor in (1.25, 1.5, 2.0)]
        yield (
            f"{title}: modelled over measured median {math.exp(statistics.median(logs)):.2f}, "
            f"10% to 90% {math.exp(np.quantile(logs, 0.1)):.2f} to {math.exp(np.quantile(logs, 0.9)):.2f}; within "
            f"1.25x {within[0]:.0%}, 1.5x {within[1]:.0%}, 2x {within[2]:.0%}; rank correlation "
            f"{_rank_correlation(measured, modelled):.3f}"
        )


def _rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's coefficient."""
    first, second = (np.argsort(np.argsort(values)) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def _records(folder: Path) -> dict[str, Record]:
    found = [Record.model_validate_json(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {record.kernel: record for record in found}


def _agreement(card: Path, simulated: Path, record: Record) -> str:
    """Say how far two devices' results lie apart: in units in the last place of the card's numbers."""
    file = record.kernel.replace("/", "-") + ".npz"
    with np.load(card / file) as one, np.load(simulated / file) as other:
        pairs = [(one[key], other[key]) for key in one.files]
    different = [~_same(a, b) for a, b in pairs]
    count, total = sum(int(np.sum(where)) for where in different), sum(where.size for where in different)
    if not count:
        return f"all {total} the same"
    most = max(_most_ulps(a, b, dtype) for (a, b), dtype in zip(pairs, record.results, strict=True))
    return f"{count} of {total} differ, by at most {most:.3g} ulp"


def _same(one: Array, other: Array) -> BoolArray:
    same: BoolArray = (one == other) | ((one != one) & (other != other))  # noqa: PLR0124 -- only NaN differs from itself
    return same


def _most_ulps(one: Array, other: Array, dtype: DType) -> float:
    if not dtype.is_floating:
        return 0.0 if np.array_equal(one, other) else math.inf
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    spacing = np.spacing(np.maximum(np.abs(one), np.abs(other))).astype(np.float64)
    # bfloat16 is held in float32, whose numbers lie 2**16 times as close.
    unit = spacing * (2.0**16 if dtype is DType.BFLOAT16 else 1.0)
    return float(np.max(np.where(_same(one, other), 0.0, apart / unit), initial=0.0))


if __name__ == "__main__":
    main()

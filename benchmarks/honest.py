"""Verifies right kernels and counts those that a verdict accuses: raw ones, the examples, the offline proposer's.

`python benchmarks/honest.py --output build/honest.jsonl [--jobs 2] [--only NAME] [--most N] [--device cuda:0]`

Every kernel is judged as `kernelwright verify` does it, on secret values; those of one task on the same ones, so that
its reference runs once for all of them. The run appends one line per kernel and goes on where it stopped; a kernel
whose source has changed is judged again. Ends with code 1 when one of them is not passed.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file lies a script called simgpu

from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.mutants.bench import KeptReference
from benchmarks.mutants.subjects import Subject, subjects_of
from sandbox.devices import parse_device
from sandbox.settings import SandboxSettings
from sandbox.values import Device, Limits, ReferenceResult
from tasks.errors import InfraError, UserError
from tasks.loading import library_task
from tasks.values import Task, Value
from verifier.environment import present_environment
from verifier.sandboxed import SandboxLaboratory
from verifier.seeds import derive
from verifier.values import Status
from verifier.verify import verify

LIMITS = Limits(wall_seconds=600.0)
"""A busy machine must not pass for an endless kernel or compilation; processor time stays bounded."""


class Record(Value):
    """One line of the output: what became of one kernel."""

    kernel: str
    """The subject's name; what stands before the slash is where it comes from."""
    task: str
    """Slug of the library task that it solves."""
    candidate_hash: str
    judge: str
    """Hashes of the verifier's and the simulator's sources at that time."""
    seed: int
    status: Status
    check: str
    """The check that decided, with its workload and its sentence."""
    workload: str
    detail: str
    seconds: float
    """Wall seconds, build included."""


class Remembering:
    """The sandbox's laboratory for the kernels of one task, whose reference's answers it keeps.

    Parameters
    ----------
    inner
        Builds and runs.
    """

    def __init__(self, inner: SandboxLaboratory) -> None:
        self._inner = inner
        self._known: dict[str, ReferenceResult | UserError] = {}
        self.prepare, self.build, self.candidate = inner.prepare, inner.build, inner.candidate
        self.eager, self.figures = inner.eager, inner.figures

    @contextmanager
    def reference(self, task: Task, limits: Limits | None) -> Iterator[KeptReference]:
        """Give the task's reference."""
        with self._inner.reference(task, limits) as real:
            yield KeptReference(real, self._known, task)


def main() -> int:
    """Verify the kernels that the output does not hold yet, then print the table over all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/honest.jsonl"), help="file of results, appended to")
    parser.add_argument("--sources", default="raw,examples,twins,offline", help="where the kernels come from")
    parser.add_argument("--schedules", type=int, default=10, help="kernels of the offline proposer for each task")
    parser.add_argument("--only", default="", help="kernels whose name holds this")
    parser.add_argument("--jobs", type=int, default=2, help="verdicts at a time")
    parser.add_argument("--most", type=int, default=None, help="so many verdicts, evenly over what is left")
    parser.add_argument("--device", default="sim:h100", help="what runs the kernels")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="drawn if left out")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    every = subjects_of(options.sources.split(","), options.schedules)
    subjects = [one for one in every if options.only in one.name]
    known = known_records(options.output, subjects)
    left = [one for one in subjects if one.name not in known]
    for record in _judged(spread_over(left, options.most), options.jobs, options.seed, parse_device(options.device)):
        known[record.kernel] = record
        with options.output.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")
    print(table([known[one.name] for one in subjects if one.name in known], len(subjects)))
    return 1 if any(record.status is not Status.PASSED for record in known.values()) else 0


def spread_over(subjects: Sequence[Subject], most: int | None) -> list[Subject]:
    """Return at most so many, evenly spaced, so that each source and each task has its share."""
    if most is None or most >= len(subjects):
        return list(subjects)
    return [subjects[number * len(subjects) // most] for number in range(most)]


def known_records(path: Path, subjects: Sequence[Subject]) -> dict[str, Record]:
    """Return the last result of each kernel as it is now."""
    hashes = {one.name: one.candidate.content_hash for one in subjects}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records = map(Record.model_validate_json, lines)
    return {one.kernel: one for one in records if hashes.get(one.kernel) == one.candidate_hash}


def _judged(subjects: Sequence[Subject], jobs: int, seed: int, device: Device) -> Iterator[Record]:
    columns = (TextColumn("verified"), MofNCompleteColumn(), TimeElapsedColumn())
    settings = SandboxSettings.load().model_copy(update={"compile_seconds": LIMITS.wall_seconds})
    with SandboxLaboratory(settings) as laboratory, ThreadPoolExecutor(jobs) as pool, Progress(*columns) as progress:

        @lru_cache(maxsize=2 * jobs)
        def of_task(_slug: str) -> Remembering:
            return Remembering(laboratory)

        records = pool.map(lambda subject: _record(of_task(subject.task), seed, subject, device), subjects)
        for record in progress.track(records, total=len(subjects)):
            if isinstance(record, str):
                progress.print(record)
                continue
            if record.status is not Status.PASSED:
                progress.print(_sentence(record))
            yield record


def _record(laboratory: Remembering, seed: int, subject: Subject, device: Device) -> Record | str:
    """Judge one kernel; a sentence where no verdict came about, so that a later run tries it again."""
    start = time.perf_counter()
    own = derive(seed, subject.task)
    task = library_task(subject.task)
    try:
        verdict = verify(task, subject.candidate, device, seed=own, limits=LIMITS, laboratory=laboratory)
    except (InfraError, UserError) as error:
        return f"{subject.name} was not judged: {error}"
    last = verdict.checks[-1]
    return Record(
        kernel=subject.name,
        task=subject.task,
        candidate_hash=subject.candidate.content_hash,
        judge=_judge(),
        seed=own,
        status=verdict.status,
        check=last.name,
        workload=last.workload or "",
        detail=last.detail,
        seconds=round(time.perf_counter() - start, 1),
    )


def _judge() -> str:
    environment = present_environment()
    return f"{environment.judge} {environment.simulator}"


def table(records: Sequence[Record], total: int) -> str:
    """Return the figures by source in Markdown, then every kernel that was accused."""
    accused = [one for one in records if one.status is not Status.PASSED]
    older = sum(one.judge != _judge() for one in records)
    lines = ["| kernels | verdicts | passed | accused |", "| --- | --- | --- | --- |"]
    for source in dict.fromkeys(map(_source, records)):
        of = [one for one in records if _source(one) == source]
        wrong = sum(one in accused for one in of)
        lines.append(f"| {source} | {len(of)} | {len(of) - wrong} | {wrong} |")
    lines.append(f"| all | {len(records)} | {len(records) - len(accused)} | {len(accused)} |")
    lines += ["", f"{total - len(records)} of {total} kernels are not judged yet."] if len(records) < total else []
    lines += ["", f"{older} verdicts were made by other sources of verifier or simulator."] if older else []
    return "\n".join([*lines, *(["", "Accused:", ""] if accused else []), *map(_sentence, accused)])


def _source(record: Record) -> str:
    return record.kernel.partition("/")[0]


def _sentence(record: Record) -> str:
    place = f" at {record.workload}" if record.workload else ""
    return f"- {record.kernel}: {record.status}{place}, {record.check}: {record.detail} (seed {record.seed})"


if __name__ == "__main__":
    sys.exit(main())

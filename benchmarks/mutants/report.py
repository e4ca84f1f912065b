"""What the mutation benchmark writes for each fault, and the report over all of them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path

from benchmarks.mutants.faults import FaultClass
from sandbox.values import Language
from tasks.values import Value

ARGUED = Path(__file__).with_name("kernels") / "equivalent.toml"


class Outcome(StrEnum):
    """What became of one fault."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    NOT_BUILT = "does not build"
    SAME_PTX = "same PTX"
    """Proof that it is no fault: the compiler gives the same PTX, line information left out."""
    SAME_MACHINE_CODE = "same machine code"
    """Proof that it is no fault: ptxas gives the same bytes."""


class Record(Value):
    """One line of the output."""

    identifier: str
    kernel: str
    task: str
    language: Language
    kind: FaultClass
    operator: str
    line: int
    before: str
    after: str
    outcome: Outcome
    status: str = ""
    """Status of the verdict."""
    check: str = ""
    """The check that decided."""
    workload: str = ""
    detail: str = ""
    kernelbench_passed: bool | None = None
    """Whether KernelBench's rule lets the fault pass."""
    seconds: float = 0.0
    """Processor seconds of the judging process: build, verdict, and KernelBench's rule."""


class Argument(Value):
    """A change that no input can tell, with the reason; `kernels/equivalent.toml` holds them."""

    kernels: tuple[str, ...]
    """Starts of the kernels' names."""
    before: str
    """The line, as the report shows it."""
    after: tuple[str, ...]
    """What it became."""
    lines: tuple[int, ...] = ()
    """Where, when the line's text stands in several places; anywhere when empty."""
    reason: str

    def covers(self, record: Record) -> bool:
        """Whether a record is of such a change."""
        return (
            record.kernel.startswith(self.kernels)
            and record.before == self.before
            and record.after in self.after
            and (not self.lines or record.line in self.lines)
        )


@cache
def arguments() -> tuple[Argument, ...]:
    """Return the changes that are no faults by argument."""
    tables = tomllib.loads(ARGUED.read_text(encoding="utf-8")).get("equivalent", [])
    return tuple(map(Argument.model_validate, tables))


def read_records(path: Path) -> list[Record]:
    """Return what a run has written so far."""
    if not path.is_file():
        return []
    return [Record.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def argued(record: Record) -> Argument | None:
    """Return the argument that a survivor is no fault, if there is one."""
    return next((one for one in arguments() if one.covers(record)), None)


def report(records: Sequence[Record]) -> str:
    """Return the report in Markdown: figures by family, then every survivor."""
    judged = [one for one in records if one.outcome in {Outcome.CAUGHT, Outcome.SURVIVED}]
    excused = [one for one in judged if one.outcome is Outcome.SURVIVED and argued(one)]
    faults = [one for one in judged if one not in excused]
    proofs = (Outcome.SAME_PTX, Outcome.SAME_MACHINE_CODE)
    aside = ", ".join(f"{_count(records, lambda one, o=outcome: one.outcome is o)} {outcome}" for outcome in proofs)
    unbuilt = _count(records, lambda one: one.outcome is Outcome.NOT_BUILT)
    seconds = [one.seconds for one in faults]
    kernels = len({one.kernel for one in faults})
    lines = [
        f"{len(records)} changes; {unbuilt} do not build; no faults: {aside}, {len(excused)} by argument.",
        f"{len(faults)} faults in {kernels} kernels over {len({one.task for one in faults})} tasks.",
        "",
        "| family | faults | caught by the verdict | caught by KernelBench's rule |",
        "| --- | --- | --- | --- |",
        *(_row(kind, [one for one in faults if one.kind is kind]) for kind in FaultClass),
        _row("all", faults),
        "",
        "| status | faults |",
        "| --- | --- |",
        *(f"| {status} | {count} |" for status, count in _statuses(faults)),
        "",
        f"Processor seconds per fault: median {_median(seconds):.1f}, sum {sum(seconds):.0f}.",
        "",
        *_survivors("Survivors", [one for one in faults if one.outcome is Outcome.SURVIVED]),
        *_survivors("Set aside by argument", excused),
    ]
    return "\n".join(lines)


def _count(records: Iterable[Record], holds: Callable[[Record], bool]) -> int:
    return sum(map(holds, records))


def _row(name: str, faults: Sequence[Record]) -> str:
    caught = _count(faults, lambda one: one.outcome is Outcome.CAUGHT)
    theirs = _count(faults, lambda one: not one.kernelbench_passed)
    return f"| {name} | {len(faults)} | {_share(caught, len(faults))} | {_share(theirs, len(faults))} |"


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else "0"


def _statuses(faults: Sequence[Record]) -> list[tuple[str, int]]:
    names = {one.status for one in faults}
    return sorted(((name, _count(faults, lambda one, n=name: one.status == n)) for name in names), key=lambda p: -p[1])


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _survivors(title: str, survivors: Sequence[Record]) -> list[str]:
    lines = [f"{title} ({len(survivors)}):"] if survivors else []
    for one in survivors:
        found = argued(one)
        lines += [
            "",
            f"{one.kernel}:{one.line} {one.kind}, {one.operator}" + (f": {found.reason}" if found else ""),
            f"- {one.before}",
            f"+ {one.after}",
        ]
    return lines

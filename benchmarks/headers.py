"""Compares the light headers with PyTorch's full ones over the whole corpus of extensions, bit for bit.

Run it with `python benchmarks/headers.py`, or with `--json` for figures alone. The sources of the corpus are
compiled unmodified, as one unit for each kind of headers, because parsing PyTorch's costs a minute; each entry is then
called with the same arguments on the simulated H100. CPU seconds are user and system time of all processes of a build.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.child.reference import from_torch
from sandbox.devices import parse_device
from sandbox.settings import HeaderChoice, IsolationChoice, SandboxSettings
from sandbox.values import Build
from tests.sandbox.extensions.case import Case
from tests.sandbox.extensions.corpus import CASES
from tests.sandbox.extensions.unit import exported, unit

_H100 = parse_device("sim:h100")


@dataclass(frozen=True, slots=True)
class Report:
    """What the comparison gave."""

    sources: int
    calls: int
    equal: int
    """Calls whose results are the same, bit for bit, and that ended well."""
    differing: tuple[str, ...]
    light_cpu_seconds: float
    full_cpu_seconds: float


def main() -> None:
    """Compare and print; exit code 1 when a result differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="figures alone")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="of the corpus; all of it if left out")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.sources or case.name in options.sources]
    with tempfile.TemporaryDirectory(prefix="kernelwright-bench-") as folder:
        report = compare(cases, Path(folder))
    if options.json:
        print(json.dumps(asdict(report), indent=1))
    else:
        Console().print(
            f"{report.equal} of {report.calls} calls of {report.sources} sources give the same results;"
            f" light headers {report.light_cpu_seconds:.0f} s of CPU, full headers {report.full_cpu_seconds:.0f} s"
        )
        for name in report.differing:
            Console().print(f"differs: {name}")
    sys.exit(0 if report.equal == report.calls else 1)


def compare(cases: Sequence[Case], folder: Path) -> Report:
    """Build both units, call every entry of both."""
    light, light_seconds = built(cases, HeaderChoice.LIGHT, folder)
    full, full_seconds = built(cases, HeaderChoice.FULL, folder)
    differing = tuple(exported(case) for case in cases if outcome(light, case, folder) != outcome(full, case, folder))
    return Report(
        sources=len({case.name for case in cases}),
        calls=len(cases),
        equal=len(cases) - len(differing),
        differing=differing,
        light_cpu_seconds=light_seconds,
        full_cpu_seconds=full_seconds,
    )


def settings_for(folder: Path, headers: HeaderChoice = HeaderChoice.LIGHT) -> SandboxSettings:
    """Return settings with a cache in the folder; processes without a namespace of their own report their CPU time."""
    return SandboxSettings(
        cache_dir=folder,
        headers=headers,
        isolation=IsolationChoice.PROCESS,
        compile_seconds=3600,
        full_compile_seconds=3600,
    )


def built(cases: Sequence[Case], headers: HeaderChoice, folder: Path) -> tuple[Build, float]:
    """Build the unit; returns it and the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = build(unit(cases), _H100.arch, settings_for(folder, headers))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return made, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def outcome(made: Build, case: Case, folder: Path) -> tuple[str, ...] | tuple[bytes, ...]:
    """Return the results' bytes, or what went wrong, which no other outcome equals."""
    entry = made.model_copy(update={"entry": exported(case)})
    with open_candidate(entry, _H100, settings=settings_for(folder)) as session:
        execution = session.call([from_torch(argument) for argument in case.drawn()])
    if not execution.outputs:
        return (str(made.headers), execution.state.value, execution.message)
    return tuple(f"{item.dtype}{item.shape}".encode() + bytes(item.data) for item in execution.outputs)


if __name__ == "__main__":
    main()

"""Verifies right kernels and counts those that a verdict accuses: raw ones, the library's, the offline proposer's.

`python benchmarks/honest.py [--schedules 10] [--jobs 2] [--seed N]`

Every kernel is judged as `kernelwright verify` does it, on secret values of a seed of its own. Ends with code 1 when
one of them is not passed.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file lies a script called simgpu

from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.mutants.subjects import Subject, library_subjects, offline_subjects, raw_subjects
from sandbox.devices import parse_device
from tasks.loading import library_task
from verifier.sandboxed import SandboxLaboratory
from verifier.seeds import derive
from verifier.values import Verdict
from verifier.verify import verify

DEVICE = "sim:h100"


def main() -> int:
    """Verify every kernel; print each that is not passed, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=10, help="kernels of the offline proposer for each task")
    parser.add_argument("--jobs", type=int, default=2, help="verdicts at a time")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="drawn if left out")
    options = parser.parse_args()
    subjects = list(chain(raw_subjects(), library_subjects(), offline_subjects(options.schedules)))
    found: Counter[str] = Counter()
    accused = 0
    columns = (TextColumn("verified"), MofNCompleteColumn(), TimeElapsedColumn())
    with SandboxLaboratory() as laboratory, ThreadPoolExecutor(options.jobs) as pool, Progress(*columns) as progress:
        verdicts = pool.map(partial(_verdict, laboratory, options.seed), subjects)
        for subject, verdict in zip(subjects, progress.track(verdicts, total=len(subjects)), strict=True):
            found[f"{subject.name.partition('/')[0]}: {verdict.status}"] += 1
            if not verdict.passed:
                accused += 1
                last = verdict.checks[-1]
                progress.print(f"{subject.name}: {verdict.status} at {last.workload}, {last.name}: {last.detail}")
    for line, count in sorted(found.items()):
        print(f"{line} {count}")
    print(f"{accused} of {len(subjects)} right kernels accused, seed {options.seed}")
    return 1 if accused else 0


def _verdict(laboratory: SandboxLaboratory, seed: int, subject: Subject) -> Verdict:
    own = derive(seed, subject.name)
    return verify(library_task(subject.task), subject.candidate, parse_device(DEVICE), seed=own, laboratory=laboratory)


if __name__ == "__main__":
    sys.exit(main())

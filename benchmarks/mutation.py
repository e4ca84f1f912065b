"""Injects faults into right kernels and counts those that a verdict catches, and those that KernelBench's rule does.

`python benchmarks/mutation.py --output build/mutation.jsonl [--sample 1100] [--jobs 2]`

Every fault is judged as any candidate is, by `verifier.verification`, with the real compiler and the simulated card;
`mutants/bench.py` says what is spared. KernelBench's rule then judges the same build in the same process. The run
appends one line per fault and goes on where it stopped.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import NoReturn

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file lies a script called simgpu

import torch
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.mutants.bench import Bench
from benchmarks.mutants.faults import Fault, FaultClass, device_faults, launch_faults
from benchmarks.mutants.kernelbench_rule import KernelBenchRule
from benchmarks.mutants.report import Outcome, Record, read_records, report
from benchmarks.mutants.subjects import Subject, subjects_of
from sandbox.devices import parse_device
from sandbox.toolchain import find_toolchain
from sandbox.values import Build, BuildError, Candidate, Language, Limits, SourceFile
from tasks.loading import library_task
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Verdict
from verifier.verification import Verification

SEED = 20_261_125
"""Of every verdict and of the choice of faults; any other does as well."""
DEVICE = "sim:h100"
CPU_SECONDS = 25
"""For each mutant, since some never end. Processor time: a busy machine must not pass for a fault that was caught."""
LIMITS = Limits(wall_seconds=120.0, cpu_seconds=CPU_SECONDS)
UNCHANGED = "none"
CUDA_FAULTS = 4
"""At most so many for a kernel whose build needs nvcc, which takes five times as long as NVRTC."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault in a kernel."""

    subject: Subject
    fault: Fault

    @property
    def identifier(self) -> str:
        """Name that stays the same from run to run while kernel and fault do."""
        parts = (self.subject.candidate.content_hash, repr(self.fault))
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    @property
    def candidate(self) -> Candidate:
        """The faulty kernel."""
        return self.subject.candidate.model_copy(
            update={"files": tuple(map(self._edited, self.subject.candidate.files))}
        )

    def _edited(self, file: SourceFile) -> SourceFile:
        if file.name != self.fault.file:
            return file
        return file.model_copy(update={"text": self.fault.applied(file.text)})

    def lines(self) -> tuple[int, str, str]:
        """Return the number of the changed line, and the line before and after."""
        text = next(file.text for file in self.subject.candidate.files if file.name == self.fault.file)
        number = self.fault.line(text)
        after = self.fault.applied(text).removeprefix(self.fault.prefix)
        return number, text.splitlines()[number - 1].strip(), after.splitlines()[number - 1].strip()


Tell = Callable[[Record], None]


class Runner:
    """Judges each mutant in a process of its own, forked when its task's reference has answered."""

    def __init__(self, inner: SandboxLaboratory) -> None:
        self._inner = inner
        self._device = parse_device(DEVICE)
        self._benches: dict[str, Bench] = {}
        self._rules: dict[str, KernelBenchRule] = {}
        self._originals: dict[str, str] = {}
        """By the subject's name: its device code."""

    def start(self, mutant: Mutant) -> Forked:
        """Start judging a mutant."""
        bench, rule = self._bench(mutant.subject), self._rules[mutant.subject.task]
        original = self._originals.get(mutant.subject.name, "")
        return Forked(mutant, lambda tell: self._judge(mutant, bench, rule, original, tell))

    def start_right(self, subject: Subject) -> Forked:
        """Start judging a kernel as it is, and keep its device code."""
        build = self._bench(subject).build(subject.candidate, self._device)
        forked = self.start(Mutant(subject, Fault(FaultClass.CONSTANT, UNCHANGED, "kernel.cu", 0, 0, "")))
        self._originals[subject.name] = device_code(build)
        return forked

    def _bench(self, subject: Subject) -> Bench:
        """Return the task's bench, its reference's answers known from one verdict through the sandbox."""
        if subject.task not in self._benches:
            bench = Bench(library_task(subject.task), self._inner)
            bench.in_process = False
            self._verdict(bench, subject.candidate)
            bench.close()
            bench.in_process = True
            self._benches[subject.task] = bench
            self._rules[subject.task] = KernelBenchRule(bench.task)
        return self._benches[subject.task]

    def _verdict(self, bench: Bench, candidate: Candidate) -> Verdict:
        return Verification(bench.task, candidate, self._device, seed=SEED, laboratory=bench, limits=LIMITS).verdict()

    def _judge(self, mutant: Mutant, bench: Bench, rule: KernelBenchRule, original: str, tell: Tell) -> None:
        """Judge in the forked process; what is known is told at once, since the rule's run may end the process."""
        blank = blank_record(mutant)
        try:
            build = bench.build(mutant.candidate, self._device)
        except BuildError as error:
            tell(blank.model_copy(update={"outcome": Outcome.NOT_BUILT, "detail": error.summary[:200]}))
            return
        text = device_code(build)
        launch = mutant.fault.file == "launch.toml" or "<<<" in blank.before
        if text == original and not launch:
            tell(blank.model_copy(update={"outcome": Outcome.SAME_PTX}))
            return
        verdict = self._verdict(bench, mutant.candidate)
        outcome = Outcome.CAUGHT
        if verdict.passed:
            same = (
                bool(original) and not launch and machine_code(text, build.arch) == machine_code(original, build.arch)
            )
            outcome = Outcome.SAME_MACHINE_CODE if same else Outcome.SURVIVED
        last = verdict.checks[-1]
        found = {"outcome": outcome, "status": verdict.status, "check": last.name, "workload": last.workload or ""}
        record = blank.model_copy(update={**found, "detail": last.detail[:300]})
        tell(record)
        if bench.last is not None:
            tell(record.model_copy(update={"kernelbench_passed": rule.passes(bench.last)}))


class Forked:
    """A mutant that is being judged in a forked process.

    Parameters
    ----------
    mutant
        Which one.
    work
        Called in the process; what it tells last is the result.
    """

    def __init__(self, mutant: Mutant, work: Callable[[Tell], None]) -> None:
        self._mutant = mutant
        self._end, theirs = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self._end)
            self._run(work, theirs)
        os.close(theirs)

    def _run(self, work: Callable[[Tell], None], end: int) -> NoReturn:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # NVRTC's warnings
        with os.fdopen(end, "w") as file:

            def tell(record: Record) -> None:
                file.write(record.model_dump_json() + "\n")
                file.flush()

            try:
                work(tell)
            finally:
                file.flush()
                os._exit(0)

    def result(self) -> Record:
        """Wait for the process and return what it told; one that died before its verdict was caught by that."""
        with os.fdopen(self._end) as file:
            told = file.read().splitlines()
        _, status, used = os.wait4(self.process, 0)
        if told:
            record = Record.model_validate_json(told[-1])
        elif os.WIFSIGNALED(status):
            record = blank_record(self._mutant).model_copy(update={"status": "crashed"})
        else:
            raise SystemExit(f"{self._mutant.subject.name}: the judging process failed")
        seconds = round(used.ru_utime + used.ru_stime, 2)
        # A rule's run that brings the process down has caught the fault, as a card's error would.
        return record.model_copy(update={"seconds": seconds, "kernelbench_passed": bool(record.kernelbench_passed)})


def blank_record(mutant: Mutant) -> Record:
    """Return a mutant's record before anything is known of it."""
    number, before, after = mutant.lines()
    return Record(
        identifier=mutant.identifier,
        kernel=mutant.subject.name,
        task=mutant.subject.task,
        language=mutant.subject.candidate.language,
        kind=mutant.fault.kind,
        operator=mutant.fault.operator,
        line=number,
        before=before,
        after=after,
        outcome=Outcome.CAUGHT,
    )


def device_code(build: Build) -> str:
    """Return a build's PTX without line information and comments."""
    kept = []
    for line in (build.folder / str(build.ptx)).read_text(encoding="utf-8").split("\n"):
        if line.lstrip().startswith(".section"):
            break
        if line.strip() and not line.lstrip().startswith((".loc", ".file", "//")):
            kept.append(line.split("//")[0].rstrip())
    return "\n".join(kept)


def machine_code(ptx: str, arch: str) -> bytes:
    """Return what ptxas makes of a PTX text without line information: equal bytes are equal instructions."""
    with tempfile.TemporaryDirectory() as name:
        source, cubin = Path(name) / "code.ptx", Path(name) / "code.cubin"
        source.write_text(ptx, encoding="utf-8")
        ptxas = str(find_toolchain().ptxas)
        subprocess.run([ptxas, f"-arch={arch}", str(source), "-o", str(cubin)], check=True, capture_output=True)
        return cubin.read_bytes()


def faults_of(subject: Subject) -> list[Fault]:
    """Return every fault that the operators know for a kernel."""
    found: list[Fault] = []
    for file in subject.candidate.files:
        make = launch_faults if file.name == "launch.toml" else device_faults
        found += make(file.text, file.name)
    return found


def chosen(subjects: Sequence[Subject], sample: int) -> list[Mutant]:
    """Return a sample in which every kernel, and in it every family of faults, takes its turn."""
    rng = random.Random(SEED)  # noqa: S311 - a reproducible choice
    turns = []
    for subject in subjects:
        groups: defaultdict[str, list[Fault]] = defaultdict(list)
        for fault in faults_of(subject):
            groups[fault.kind].append(fault)
        for group in groups.values():
            rng.shuffle(group)
        order = sorted(groups.values(), key=lambda _: rng.random())
        mixed = [fault for turn in zip_longest(*order) for fault in turn if fault is not None]
        limit = CUDA_FAULTS if subject.candidate.language is Language.CUDA else len(mixed)
        turns.append([Mutant(subject, fault) for fault in mixed[:limit]])
    in_turn = chain.from_iterable(zip_longest(*turns))
    picked = [mutant for mutant in in_turn if mutant is not None][:sample]
    rng.shuffle(picked)  # so that a run that is stopped has seen some of everything
    return picked


def main() -> None:
    """Run what is left of the sample, then report on all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("build/mutation.jsonl"), help="one line per fault")
    parser.add_argument("--sample", type=int, default=1100, help="faults to inject, those that change nothing included")
    parser.add_argument("--jobs", type=int, default=1, help="faults judged at the same time")
    parser.add_argument("--schedules", type=int, default=2, help="kernels of the offline proposer for each task")
    parser.add_argument("--subjects", default="raw,library,offline", help="which kernels, for instance raw,library")
    parser.add_argument("--only", default="", help="kernels whose name holds this text")
    parser.add_argument("--report", action="store_true", help="report on what the output holds, and run nothing")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        subjects = subjects_of(arguments.subjects.split(","), arguments.schedules)
        run([one for one in subjects if arguments.only in one.name], arguments.sample, arguments.jobs, arguments.output)
    print(report(read_records(arguments.output)))


def run(subjects: Sequence[Subject], sample: int, jobs: int, output: Path) -> None:
    """Judge the mutants that the output does not hold yet, `jobs` at a time."""
    done = {record.identifier for record in read_records(output)}
    left = [mutant for mutant in chosen(subjects, sample) if mutant.identifier not in done]
    subjects = list({mutant.subject.name: mutant.subject for mutant in left}.values())
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    torch.set_num_threads(1)  # threads do not survive a fork
    with SandboxLaboratory() as inner, Progress(*columns) as progress, output.open("a", encoding="utf-8") as file:
        runner = Runner(inner)
        right = in_parallel((partial(runner.start_right, subject) for subject in subjects), jobs)
        beyond = set()
        for record in progress.track(right, len(subjects), description="right kernels"):
            if record.outcome is not Outcome.SURVIVED:
                raise SystemExit(f"{record.kernel} is not right: {record}")
            if not record.kernelbench_passed:
                told = f"{record.kernel} is left out: KernelBench's rule rejects it, right as it is"
                progress.console.print(told, markup=False)
                beyond.add(record.kernel)
        left = [mutant for mutant in left if mutant.subject.name not in beyond]
        faulty = in_parallel((partial(runner.start, mutant) for mutant in left), jobs)
        for record in progress.track(faulty, len(left), description="faults"):
            file.write(record.model_dump_json() + "\n")
            file.flush()


def in_parallel(starts: Iterable[Callable[[], Forked]], jobs: int) -> Iterator[Record]:
    """Yield results in order, with at most `jobs` started and not yet waited for."""
    running: deque[Forked] = deque()
    for start in starts:
        if len(running) >= jobs:
            yield running.popleft().result()
        running.append(start())
    while running:
        yield running.popleft().result()


if __name__ == "__main__":
    main()

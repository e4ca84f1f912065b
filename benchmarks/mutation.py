"""Injects faults into right kernels and counts those that a verdict catches, and those that KernelBench's rule does.

`python benchmarks/mutation.py --output build/mutation.jsonl [--sample 1100] [--jobs 2]`

Every fault is built and judged as any candidate is: the real compilers, the sandbox, `verifier.verification`. Only the
reference's answers are kept, since every fault of a task is judged on the same draws. KernelBench's rule then judges
the same build in the candidate's process. The run appends one line per fault and goes on where it stopped.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file lies a script called simgpu

from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.mutants.faults import Fault, device_faults, launch_faults
from benchmarks.mutants.kernelbench_rule import KernelBenchRule
from benchmarks.mutants.report import Outcome, Record, read_records, report
from benchmarks.mutants.subjects import Subject, library_subjects, offline_subjects, raw_subjects
from sandbox.candidate import CandidateSession, open_candidate
from sandbox.devices import parse_device
from sandbox.toolchain import find_toolchain
from sandbox.values import Build, BuildError, Candidate, Device, Language, Limits, ReferenceResult, SourceFile, Tensor
from tasks.loading import library_task
from tasks.values import EagerOp, Precision, Task, Workload
from verifier.laboratory import ReferenceRunner
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Verdict
from verifier.verification import Verification

SEED = 20_261_125
"""Of every verdict and of the choice of faults; any other does as well."""
DEVICE = "sim:h100"
LIMITS = Limits(wall_seconds=8.0)
"""Some faults never end."""
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


class KeptReference:
    """A reference that remembers its answers; it starts the real one only for what it does not know."""

    def __init__(self, real: ReferenceRunner, known: dict[str, ReferenceResult]) -> None:
        self._real = real
        self._known = known

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return what the reference answers."""
        digest = hashlib.sha256(f"{workload.name} {workload.axes} {precision}".encode())
        for tensor in (*tensors.values(), *output_gradients):
            digest.update(f"{tensor.dtype}{tensor.shape}".encode())
            digest.update(tensor.data)
        key = digest.hexdigest()
        if key not in self._known:
            self._known[key] = self._real.run(workload, tensors, precision, output_gradients)
        return self._known[key]

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """Ask the real one: nothing here is judged by time."""
        return self._real.eager_ops(workload)


class Bench:
    """The laboratory of one task: the sandbox, with kept references, and KernelBench's rule after each verdict."""

    def __init__(self, task: Task, inner: SandboxLaboratory) -> None:
        self.task = task
        self.rule = KernelBenchRule(task)
        self._inner = inner
        self._known: dict[str, ReferenceResult] = {}
        self._rule_passed = threading.local()

    def prepare(self, task: Task) -> None:
        """Start nothing ahead: the answers of the reference are known after the first verdict."""

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Build, or take the build from the cache."""
        return self._inner.build(candidate, device)

    @contextmanager
    def candidate(self, build: Build, device: Device, limits: Limits | None) -> Iterator[CandidateSession]:
        """Open the candidate for a verdict; when that stands, KernelBench's rule judges it too."""
        with open_candidate(build, device, limits=limits) as session:
            try:
                yield session
            finally:
                self._rule_passed.value = self.rule.passes(session)

    @contextmanager
    def reference(self, task: Task, limits: Limits | None) -> Iterator[KeptReference]:
        """Give the task's reference."""
        with self._inner.reference(task, limits) as real:
            yield KeptReference(real, self._known)

    def judge(self, candidate: Candidate, device: Device) -> tuple[Verdict, bool]:
        """Return the verdict, and whether KernelBench's rule lets the candidate pass."""
        self._rule_passed.value = False
        verification = Verification(self.task, candidate, device, seed=SEED, laboratory=self, limits=LIMITS)
        return verification.verdict(), self._rule_passed.value


class Runner:
    """Judges mutants, one at a time in each thread."""

    def __init__(self, inner: SandboxLaboratory, output: Path) -> None:
        self._inner = inner
        self._device = parse_device(DEVICE)
        self._output = output
        self._lock = threading.Lock()
        self._benches: dict[str, Bench] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._originals: dict[str, str] = {}
        """By the subject's name: the text of its PTX, without what the source's lines leave in it."""

    def judge(self, mutant: Mutant) -> None:
        """Build and judge one mutant, and write its line."""
        start = time.monotonic()
        number, before, after = mutant.lines()
        record = Record(
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
        record = self._judged(mutant, record)
        record = record.model_copy(update={"seconds": round(time.monotonic() - start, 2)})
        with self._lock, self._output.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")

    def _judged(self, mutant: Mutant, record: Record) -> Record:
        bench = self._bench(mutant.subject)
        original = self._original(mutant.subject, bench)
        try:
            build = bench.build(mutant.candidate, self._device)
        except BuildError as error:
            return record.model_copy(update={"outcome": Outcome.NOT_BUILT, "detail": error.summary[:200]})
        text = device_code(build)
        launch = mutant.fault.file == "launch.toml" or "<<<" in record.before
        if text == original and not launch:
            return record.model_copy(update={"outcome": Outcome.SAME_PTX})
        verdict, passes = bench.judge(mutant.candidate, self._device)
        last = verdict.checks[-1]
        outcome = Outcome.CAUGHT
        if verdict.passed:
            same = not launch and machine_code(text, build.arch) == machine_code(original, build.arch)
            outcome = Outcome.SAME_MACHINE_CODE if same else Outcome.SURVIVED
        return record.model_copy(
            update={
                "outcome": outcome,
                "status": verdict.status,
                "check": last.name,
                "workload": last.workload or "",
                "detail": last.detail[:300],
                "kernelbench_passed": passes,
            }
        )

    def _bench(self, subject: Subject) -> Bench:
        with self._lock:
            if subject.task not in self._benches:
                self._benches[subject.task] = Bench(library_task(subject.task), self._inner)
            return self._benches[subject.task]

    def _original(self, subject: Subject, bench: Bench) -> str:
        """Return the subject's device code, after a verdict that it is right, as it must be."""
        with self._lock:
            own = self._locks.setdefault(subject.name, threading.Lock())
        with own:
            if subject.name not in self._originals:
                verdict, passes = bench.judge(subject.candidate, self._device)
                if not (verdict.passed and passes):
                    raise SystemExit(
                        f"{subject.name} is not right: {verdict.status} {verdict.checks[-1].detail} {passes}"
                    )
                self._originals[subject.name] = device_code(bench.build(subject.candidate, self._device))
            return self._originals[subject.name]


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
        makers: dict[str, Callable[[], Iterator[Subject]]] = {
            "raw": raw_subjects,
            "library": library_subjects,
            "offline": lambda: offline_subjects(arguments.schedules),
        }
        subjects = [one for name in arguments.subjects.split(",") for one in makers[name]()]
        run([one for one in subjects if arguments.only in one.name], arguments.sample, arguments.jobs, arguments.output)
    print(report(read_records(arguments.output)))


def run(subjects: Sequence[Subject], sample: int, jobs: int, output: Path) -> None:
    """Judge the mutants that the output does not hold yet."""
    done = {record.identifier for record in read_records(output)}
    left = [mutant for mutant in chosen(subjects, sample) if mutant.identifier not in done]
    columns = (TextColumn("faults"), MofNCompleteColumn(), TimeElapsedColumn())
    with SandboxLaboratory() as inner, Progress(*columns) as progress, ThreadPoolExecutor(jobs) as pool:
        bar = progress.add_task("faults", total=len(left))
        runner = Runner(inner, output)
        for _ in pool.map(runner.judge, left):
            progress.advance(bar)


if __name__ == "__main__":
    main()

"""`kernelwright verify`, `bench` and `build`: one candidate, one step of its way."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli.loading import read_candidate, read_task, read_verdict
from cli.output import emit_json, outcome, progress, results
from cli.report import print_measurement, print_replay, print_verdict
from cli.schemas import BenchReport, BuildReport, ReplayReport, VerifyReport
from sandbox.values import BuildError, Candidate, Device, Language, Limits
from tasks.errors import UserError
from tasks.values import Direction, Task
from verifier.values import Check, Verdict

TaskArgument = Annotated[str, typer.Argument(help="A Python file with the op, or a library slug.")]
CandidateArgument = Annotated[
    str, typer.Argument(help="A .cu or .py file, a folder with one .cu and launch.toml, or RUN:NUMBER.")
]
LanguageOption = Annotated[
    Language | None, typer.Option(help="What the candidate is written in; told from the file if left out.")
]
DeviceOption = Annotated[str, typer.Option(help="sim:h100, sim:a100, ..., cuda:0, or auto.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def verify(
    task: Annotated[str | None, typer.Argument(help="A Python file with the op, or a library slug.")] = None,
    candidate: Annotated[
        str | None, typer.Argument(help="A .cu or .py file, a folder with one .cu and launch.toml, or RUN:NUMBER.")
    ] = None,
    *,
    device: DeviceOption = "auto",
    language: LanguageOption = None,
    seed: Annotated[int | None, typer.Option(help="Of inputs and schedules; drawn and recorded if left out.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="A verdict that `verify --json` printed: make it again and compare.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Check a candidate against the reference on shapes and values that it never saw.

    Exit code 0 when it passed, 1 when it did not. With --replay, which takes task, candidate, device and seed from
    the file: 0 when every check, figure and output is the same, bit for bit.
    """
    from sandbox.devices import parse_device

    if replay is not None:
        return _replay(replay, given=(task, candidate, language, seed), as_json=as_json)
    if task is None or candidate is None:
        raise UserError("name TASK and CANDIDATE, or a verdict with --replay")
    op = read_task(task)
    target = parse_device(device)
    kernel = read_candidate(candidate, op.direction, language)
    verdict = _judged(op, kernel, target, seed=secrets.randbits(63) if seed is None else seed)
    if as_json:
        emit_json(VerifyReport.of(verdict, op, kernel))
    else:
        print_verdict(verdict)
    return 0 if verdict.passed else 1


def _judged(task: Task, candidate: Candidate, device: Device, *, seed: int, limits: Limits | None = None) -> Verdict:
    """Verify under a line that says what is being checked."""
    from verifier.verify import verify as verify_candidate

    with progress.status("building") as status:

        def show(check: Check) -> None:
            status.update(f"{check.name} {check.workload or ''}")

        return verify_candidate(task, candidate, device, seed=seed, limits=limits, on_check=show)


def _replay(file: Path, *, given: tuple[object, ...], as_json: bool) -> int:
    from sandbox.devices import parse_device
    from verifier.replay import compare_verdicts

    if any(value is not None for value in given):
        raise UserError("--replay takes task, candidate, language and seed from the file: leave them out")
    recorded = read_verdict(file)
    device = parse_device(recorded.device)
    again = _judged(recorded.task, recorded.candidate, device, seed=recorded.seed, limits=recorded.limits)
    replay = compare_verdicts(recorded.verdict, again)
    if as_json:
        emit_json(ReplayReport.of(replay, recorded.task, recorded.candidate))
    else:
        print_replay(replay)
    return 0 if replay.identical else 1


def bench(
    task: TaskArgument,
    candidate: CandidateArgument,
    *,
    device: DeviceOption = "auto",
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> int:
    """Time a candidate against eager PyTorch: measured on a GPU, modelled on a simulated one.

    Timing is no proof of correctness: `verify` is. Exit code 1 when the candidate does not build or run.
    """
    from sandbox.devices import parse_device
    from verifier.bench import bench as bench_candidate

    op = read_task(task)
    target = parse_device(device)
    kernel = read_candidate(candidate, op.direction, language)
    with progress.status("timing"):
        measurement = bench_candidate(op, kernel, target, seed=secrets.randbits(63))
    if as_json:
        emit_json(BenchReport(measurement=measurement))
    else:
        print_measurement(measurement)
    return 0


def build(
    candidate: CandidateArgument,
    *,
    arch: Annotated[str, typer.Option(help="Real architecture to build for.")] = "sm_90",
    entry: Annotated[Direction, typer.Option(help="Host function that the candidate exports.")] = Direction.FORWARD,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> int:
    """Build a candidate and show its registers, spills and shared memory, or why it does not build."""
    from sandbox.build import build as build_candidate

    kernel = read_candidate(candidate, entry, language)
    try:
        with progress.status("building"):
            built = build_candidate(kernel, arch)
    except BuildError as error:
        if as_json:
            emit_json(BuildReport(ok=False, build=None, kind=error.kind.value, summary=error.summary, log=error.log))
        else:
            results.print(outcome(passed=False, status=f"does not build ({error.kind.value})"))
            results.print(error.summary, markup=False)
        return 1
    if as_json:
        emit_json(BuildReport(ok=True, build=built, log=built.log))
        return 0
    results.print(outcome(passed=True, status=f"built for {built.arch} in {built.seconds:.1f} s"))
    results.print(f"{built.toolchain}; {' '.join(built.flags)}", markup=False, style="dim")
    for kernel_resources in built.kernels:
        results.print(
            f"{kernel_resources.kernel}: {kernel_resources.registers} registers,"
            f" {kernel_resources.spill_stores + kernel_resources.spill_loads} bytes of spills,"
            f" {kernel_resources.static_shared} bytes of shared memory",
            markup=False,
        )
    results.print(f"in {built.folder}", markup=False)
    return 0

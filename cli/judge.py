"""`kernelwright verify` and `bench`: one candidate against its task."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli.loading import read_candidate, read_task, read_verdict
from cli.output import emit_json, progress
from cli.report import print_measurement, print_replay, print_verdict
from cli.schemas import BenchReport, ReplayReport, VerifyReport
from sandbox.settings import HeaderChoice, SandboxSettings
from sandbox.values import Candidate, Device, Language, Limits
from tasks.errors import UserError
from tasks.values import Task
from verifier.values import Check, Verdict

TaskArgument = Annotated[str, typer.Argument(help="A Python file with the op, its manifest, or a library slug.")]
CandidateArgument = Annotated[
    str, typer.Argument(help="A .cu or .py file, a folder with one .cu and launch.toml, or RUN:NUMBER.")
]
LanguageOption = Annotated[
    Language | None, typer.Option(help="What the candidate is written in; told from the file if left out.")
]
DeviceOption = Annotated[str, typer.Option(help="sim:h100, sim:a100, ..., cuda:0, or auto.")]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=SIZES",
        help="An input of an op in a package: x=8,1024,4096, or ids=8,128:int64; once for each tensor.",
    ),
]
InitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--init",
        metavar="[NAME=]VALUE",
        help="An argument of its constructor; a single one that is missing is guessed from the sizes.",
    ),
]
HeadersOption = Annotated[
    HeaderChoice | None, typer.Option(help="Whose headers a .cu is compiled against; the setting if left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def verify(
    task: Annotated[str | None, typer.Argument(help="A Python file with the op, or a library slug.")] = None,
    candidate: Annotated[
        str | None, typer.Argument(help="A .cu or .py file, a folder with one .cu and launch.toml, or RUN:NUMBER.")
    ] = None,
    *,
    device: DeviceOption = "auto",
    language: LanguageOption = None,
    headers: HeadersOption = None,
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
        return _replay(replay, given=(task, candidate, language, seed), headers=headers, as_json=as_json)
    if task is None or candidate is None:
        raise UserError("name TASK and CANDIDATE, or a verdict with --replay")
    op = read_task(task)
    target = parse_device(device)
    kernel = read_candidate(candidate, op.direction, language)
    secret = secrets.randbits(63) if seed is None else seed
    verdict = _judged(op, kernel, target, seed=secret, headers=headers)
    if as_json:
        emit_json(VerifyReport.of(verdict, op, kernel))
    else:
        print_verdict(verdict)
    return 0 if verdict.passed else 1


def _judged(
    task: Task,
    candidate: Candidate,
    device: Device,
    *,
    seed: int,
    headers: HeaderChoice | None,
    limits: Limits | None = None,
) -> Verdict:
    """Verify under a line that says what is being checked."""
    from verifier.sandboxed import SandboxLaboratory
    from verifier.verify import verify as verify_candidate

    settings = SandboxSettings.load(headers=headers)
    with progress.status("building") as status, SandboxLaboratory(settings) as laboratory:

        def show(check: Check) -> None:
            status.update(f"{check.name} {check.workload or ''}")

        return verify_candidate(task, candidate, device, seed=seed, limits=limits, on_check=show, laboratory=laboratory)


def _replay(file: Path, *, given: tuple[object, ...], headers: HeaderChoice | None, as_json: bool) -> int:
    from sandbox.devices import parse_device
    from verifier.replay import compare_verdicts

    if any(value is not None for value in given):
        raise UserError("--replay takes task, candidate, language and seed from the file: leave them out")
    recorded = read_verdict(file)
    device = parse_device(recorded.device)
    again = _judged(
        recorded.task, recorded.candidate, device, seed=recorded.seed, headers=headers, limits=recorded.limits
    )
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
    headers: HeadersOption = None,
    as_json: JsonOption = False,
) -> int:
    """Time a candidate against eager PyTorch: measured on a GPU, modelled on a simulated one.

    Timing is no proof of correctness: `verify` is. Exit code 1 when the candidate does not build or run.
    """
    from sandbox.devices import parse_device
    from verifier.bench import bench as bench_candidate
    from verifier.sandboxed import SandboxLaboratory

    op = read_task(task)
    target = parse_device(device)
    kernel = read_candidate(candidate, op.direction, language)
    settings = SandboxSettings.load(headers=headers)
    with progress.status("timing"), SandboxLaboratory(settings) as laboratory:
        measurement = bench_candidate(op, kernel, target, seed=secrets.randbits(63), laboratory=laboratory)
    if as_json:
        emit_json(BenchReport(measurement=measurement))
    else:
        print_measurement(measurement)
    return 0

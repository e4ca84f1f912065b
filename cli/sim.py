"""`kernelwright sim run`: a whole CUDA program or Python script on the simulated GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cli.output import progress
from sandbox.values import Device, DeviceKind
from tasks.errors import UserError

if TYPE_CHECKING:
    from simgpu.report import LaunchReport

app = typer.Typer(help="Run whole programs on the simulated GPU.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `run` a subcommand of its own."""


@app.command("run")
def run(
    program: Annotated[Path, typer.Argument(help="A .cu file with a main function, or a .py script that uses Triton.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments, after --.")] = None,
    *,
    device: Annotated[str, typer.Option(help="sim:h100, sim:a100, ...")] = "sim:h100",
    source: Annotated[
        list[Path] | None, typer.Option(help="A further .cu or .cpp file of the program; may be repeated.")
    ] = None,
    include: Annotated[
        list[Path] | None, typer.Option("--include", "-I", help="A further folder for headers; may be repeated.")
    ] = None,
    nvcc_flag: Annotated[
        list[str] | None,
        typer.Option(help="A further flag for nvcc, as --nvcc-flag=-DSIZE=64; may be repeated."),
    ] = None,
    checks: Annotated[
        bool,
        typer.Option(
            help="Check every access. Without it kernels run faster, and what they read unwritten or beyond is unseen."
        ),
    ] = True,
    counters: Annotated[
        bool, typer.Option("--counters", help="Count each kernel's work by source line; shown on standard error.")
    ] = False,
) -> int:
    """Run a CUDA program or a Python script on the simulated GPU, and leave with its exit code.

    A .cu file is compiled first. In a .py file `device="cuda"`, `torch.cuda` and Triton mean the simulated card.
    Either runs with your own rights, as if you had started it yourself.
    """
    from cli.counters import counter_tables
    from sandbox.devices import parse_device

    if not program.is_file():
        raise UserError(f"there is no file {program}")
    target = parse_device(device)
    if target.kind is not DeviceKind.SIM:
        raise UserError(f"{target.name} is no simulated device: give sim:h100 or another sim device")
    counted: list[LaunchReport] = []
    kernels = _Kernels(device=target, checks=checks, on_launch=counted.append if counters else None)
    if program.suffix == ".py":
        if source or include or nvcc_flag:
            raise UserError("--source, --include and --nvcc-flag are for .cu programs")
        code = _run_script(program, arguments or [], kernels)
    else:
        library = _compiled([program, *(source or [])], target, include or [], nvcc_flag or [])
        code = _run_library(library, [str(program), *(arguments or [])], kernels)
    for shown in counter_tables(counted):
        progress.print(shown)
    return code


@dataclass(frozen=True, slots=True)
class _Kernels:
    """How the kernels of a program or script run."""

    device: Device
    checks: bool
    on_launch: Callable[[LaunchReport], None] | None


def _run_script(script: Path, arguments: Sequence[str], kernels: _Kernels) -> int:
    from sandbox.build.triton import require_triton

    require_triton()
    from sandbox.script import run_script  # this imports Triton

    return run_script(script, arguments, kernels.device, checks=kernels.checks, on_launch=kernels.on_launch)


def _compiled(sources: Sequence[Path], device: Device, include: Sequence[Path], flags: Sequence[str]) -> Path:
    from sandbox.build import compile_program

    with progress.status(escape(f"compiling {sources[0]}")):
        return compile_program(sources, device.arch, include=include, flags=flags)


def _run_library(library: Path, arguments: Sequence[str], kernels: _Kernels) -> int:
    from simgpu.program import run_program
    from simgpu.specs import device_spec

    spec = device_spec(kernels.device.model)
    return run_program(library, spec, arguments, checks=kernels.checks, on_launch=kernels.on_launch)

"""`kernelwright sim run`: a whole CUDA program or Python script on the simulated GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import progress
from sandbox.values import DeviceKind
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
    from sandbox.build import compile_program
    from sandbox.build.triton import require_triton
    from sandbox.devices import parse_device
    from simgpu.program import run_program
    from simgpu.specs import device_spec

    if not program.is_file():
        raise UserError(f"there is no file {program}")
    target = parse_device(device)
    if target.kind is not DeviceKind.SIM:
        raise UserError(f"{target.name} is no simulated device: give sim:h100 or another sim device")
    counted: list[LaunchReport] = []
    on_launch = counted.append if counters else None
    if program.suffix == ".py":
        require_triton()
        from sandbox.script import run_script  # this imports it

        if source or include or nvcc_flag:
            raise UserError("--source, --include and --nvcc-flag are for .cu programs")
        code = run_script(program, arguments or [], target, checks=checks, on_launch=on_launch)
    else:
        with progress.status(f"compiling {program}"):
            library = compile_program(
                [program, *(source or [])], target.arch, include=include or (), flags=nvcc_flag or ()
            )
        names = [str(program), *(arguments or [])]
        code = run_program(library, device_spec(target.model), names, checks=checks, on_launch=on_launch)
    for shown in counter_tables(counted):
        progress.print(shown)
    return code

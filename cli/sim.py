"""`kernelwright sim run`: a whole CUDA program on the simulated GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import progress
from sandbox.values import DeviceKind
from tasks.errors import UserError

app = typer.Typer(help="Run whole CUDA programs on the simulated GPU.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `run` a subcommand of its own."""


@app.command("run")
def run(
    program: Annotated[Path, typer.Argument(help="A .cu file with a main function.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments, after --.")] = None,
    *,
    device: Annotated[str, typer.Option(help="sim:h100, sim:a100, ...")] = "sim:h100",
) -> int:
    """Compile a CUDA program, run it on the simulated GPU, and leave with the program's exit code.

    The program runs with your own rights, as if you had started it yourself.
    """
    from sandbox.build import compile_program
    from sandbox.devices import parse_device
    from simgpu.program import run_program
    from simgpu.specs import device_spec

    if not program.is_file():
        raise UserError(f"there is no file {program}")
    target = parse_device(device)
    if target.kind is not DeviceKind.SIM:
        raise UserError(f"{target.name} is no simulated device: give sim:h100 or another sim device")
    with progress.status(f"compiling {program}"):
        library = compile_program(program, target.arch)
    return run_program(library, device_spec(target.model), [str(program), *(arguments or [])])

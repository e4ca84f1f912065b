"""`kernelwright build`: compile a candidate and show what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.judge import CandidateArgument, HeadersOption, JsonOption, LanguageOption
from cli.loading import read_candidate
from cli.output import emit_json, outcome, progress, results
from cli.schemas import BuildReport
from sandbox.occupancy import BLOCK_SIZES, KernelOccupancy, kernel_occupancy
from sandbox.settings import SandboxSettings
from sandbox.values import Build, BuildError, KernelResources
from simgpu.names import readable
from tasks.values import Direction


def build(
    candidate: CandidateArgument,
    *,
    arch: Annotated[
        list[str] | None,
        typer.Option(help="Real architecture to build for; may be repeated, the first one is that of the PTX."),
    ] = None,
    entry: Annotated[Direction, typer.Option(help="Host function that the candidate exports.")] = Direction.FORWARD,
    language: LanguageOption = None,
    headers: HeadersOption = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Threads per block to show the theoretical occupancy at; may be repeated.")
    ] = None,
    dynamic_shared: Annotated[int, typer.Option(min=0, help="Bytes of dynamic shared memory per block.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """Build a candidate and show its registers, spills, shared memory and occupancy, or why it does not build."""
    from sandbox.build import build as build_candidate

    kernel = read_candidate(candidate, entry, language)
    settings = SandboxSettings.load(headers=headers)
    first, *more = arch or ["sm_90"]
    try:
        with progress.status("building"):
            built = build_candidate(kernel, first, settings, more_archs=tuple(more))
    except BuildError as error:
        if as_json:
            emit_json(BuildReport(ok=False, build=None, kind=error.kind.value, summary=error.summary, log=error.log))
        else:
            results.print(outcome(passed=False, status=f"does not build ({error.kind.value})"))
            results.print(error.summary)
        return 1
    occupancy = kernel_occupancy(built.kernels, threads or BLOCK_SIZES, dynamic_shared)
    if as_json:
        emit_json(BuildReport(ok=True, build=built, log=built.log, occupancy=occupancy))
    else:
        _print_build(built, occupancy)
    return 0


def _print_build(built: Build, occupancy: tuple[KernelOccupancy, ...]) -> None:
    archs = ", ".join((built.arch, *built.more_archs))
    results.print(outcome(passed=True, status=f"built for {archs} in {built.seconds:.1f} s"))
    results.print(f"{built.toolchain}; {' '.join(built.flags)}", style="dim")
    for attempt in built.attempts:
        ending = f"failed: {attempt.failure}" if attempt.failure else "built"
        results.print(f"{attempt.headers.value} headers, {attempt.seconds:.1f} s: {ending}")
    for warning in built.warnings:
        place = f"{warning.file}:{warning.line}: " if warning.file else ""
        results.print(f"warning: {place}{warning.message}", style="yellow")
    for kernel in built.kernels:
        _print_kernel(kernel, [item for item in occupancy if (item.kernel, item.arch) == (kernel.kernel, kernel.arch)])
    results.print(f"in {built.folder}")


def _print_kernel(kernel: KernelResources, occupancy: list[KernelOccupancy]) -> None:
    spills = kernel.spill_stores + kernel.spill_loads
    results.print(f"{readable(kernel.kernel)} ({kernel.arch})", style="bold")
    results.print(
        f"  {kernel.registers} registers; bytes: {spills} spilled, {kernel.stack} stack, {kernel.static_shared} shared,"
        f" {kernel.constant} constant"
    )
    if occupancy:
        shares = ", ".join(f"{item.fraction:.0%} at {item.threads} ({item.limit.value})" for item in occupancy)
        results.print(f"  occupancy on {occupancy[0].card}, by threads per block and what limits it: {shares}")

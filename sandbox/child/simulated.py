"""Runs a candidate on the simulated GPU: its arguments copied into the card's memory, its faults collected."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sandbox.child.card import Card
from sandbox.child.extension import ExtensionHost
from sandbox.child.host import CardLog, ConstructedHost, Host, HostError, HostRun, KernelCompileError
from sandbox.child.link import ParentLink
from sandbox.child.program import LoadError
from sandbox.child.raw import RawHost
from sandbox.protocol import BenchRequest, CallRequest, CandidateConfig
from sandbox.source_lines import Hotspot, SourceLine
from sandbox.values import Diagnostic, Execution, ExitState, Language, Launch, Tensor
from simgpu import LaunchOptions
from simgpu.errors import OutOfDeviceMemoryError, PtxSyntaxError, SimgpuError, UnsupportedError
from simgpu.hotspots import costliest, find_hotspots
from simgpu.report import Counters, DiagnosticKind, LaunchReport, LineCounters
from simgpu.report import Diagnostic as SeenDiagnostic
from simgpu.specs import device_spec
from tasks.values import Construction

SAMPLED_BLOCKS = 64
"""Blocks that a timed launch runs; the counters are scaled to the whole grid."""

_SHOWN_DIAGNOSTICS = 20
_SHOWN_LINES = 16

_INSTRUCTION_BUDGET = 1_000_000_000
"""Warp instructions of one warp before its kernel counts as endless."""


def load_simulated(config: CandidateConfig, link: ParentLink) -> SimulatedProgram:
    """Load a build onto a simulated card of its own.

    Raises
    ------
    LoadError
        The simulator lacks something that its PTX needs, or the library cannot be loaded.
    """
    logging.disable(logging.CRITICAL)  # what the simulator logs is in its reports too
    card = Card(device_spec(config.device.model), config.memory_bytes)
    try:
        host = _host(config, card, link)
    except OutOfDeviceMemoryError as error:
        raise LoadError(ExitState.OUT_OF_MEMORY, str(error)) from error
    except SimgpuError as error:
        raise LoadError(ExitState.UNSUPPORTED, str(error)) from error
    except HostError as error:
        raise LoadError(ExitState.LAUNCH_ERROR, str(error)) from error
    return SimulatedProgram(host)


def _host(config: CandidateConfig, card: Card, link: ParentLink) -> Host:
    if config.language is Language.RAW:
        return RawHost(config, card)
    if config.standin is None:
        raise ValueError("a candidate with host code needs the stand-in runtime")
    if config.language is Language.CUDA:
        return ExtensionHost(config, config.standin, card)
    from sandbox.child.python_host import PythonHost, TritonHost  # noqa: PLC0415 -- PyTorch only where it is needed

    if config.source is None or config.guard is None:
        raise ValueError("a Python candidate needs its file and the device guard")
    host = PythonHost(config.folder / config.source, card, config.guard)
    if config.language is Language.TRITON:
        return TritonHost(host, config.entry)
    from sandbox.child.inline import InlineExtensions  # noqa: PLC0415 -- likewise
    from sandbox.child.modelnew import ModelNewHost  # noqa: PLC0415 -- likewise

    return ModelNewHost(host, InlineExtensions(card, host.torch_card, config.standin, link))


class SimulatedProgram:
    """A candidate on a simulated card."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def call(self, request: CallRequest, arguments: Sequence[Tensor]) -> Execution:
        """Run once, every block."""
        self._construct(request.construction)
        return self._execute(
            arguments,
            LaunchOptions(
                checks=request.checks,
                counters=request.counters,
                schedule_seed=request.schedule_seed,
                instruction_budget=_INSTRUCTION_BUDGET,
                threads=1,  # atomic additions then come in one order, so that a verdict replays bit for bit
            ),
        )

    def bench(self, request: BenchRequest, argument_sets: Sequence[Sequence[Tensor]]) -> Execution:
        """Model the time of one run on the first arguments, from a sample of each launch's blocks.

        A later kernel may read what the blocks left out of the sample would have written, and fault on it; then
        every block is run.
        """
        # A modelled time has no sampling error, so one run says all, however many are asked for.
        self._construct(request.construction)
        sampled = self._execute(argument_sets[0], _counted(SAMPLED_BLOCKS))
        execution = (
            sampled
            if sampled.state in {ExitState.OK, ExitState.UNSUPPORTED, ExitState.OUT_OF_MEMORY}
            else self._execute(argument_sets[0], _counted(None))
        )
        # A sample of the blocks leaves most of the outputs unwritten.
        return Execution(
            state=execution.state,
            message=execution.message,
            diagnostics=execution.diagnostics,
            launches=execution.launches,
            samples_us=execution.samples_us,
            host_ops=execution.host_ops,
            specialisations=execution.specialisations,
            context_lost=execution.context_lost,
        )

    def _construct(self, construction: Construction | None) -> None:
        if isinstance(self._host, ConstructedHost):
            self._host.construct_like(construction)

    def _execute(self, arguments: Sequence[Tensor], options: LaunchOptions) -> Execution:
        run = self._host.run(arguments, options)
        log = self._host.log()
        state, message = conclude(run, log)
        return Execution(
            state=state,
            message=message,
            outputs=run.outputs if state is ExitState.OK else (),
            arguments_after=run.arguments_after if state is ExitState.OK else (),
            diagnostics=tuple(_diagnostic(seen) for seen in log.diagnostics[:_SHOWN_DIAGNOSTICS]),
            launches=tuple(_launch(report) for report in log.launches),
            samples_us=(log.microseconds,) if options.counters and state is ExitState.OK else (),
            host_ops=log.host_ops,
            specialisations=log.specialisations,
            context_lost=any(seen.kind in _FATAL for seen in log.diagnostics),
        )


def _counted(sample_blocks: int | None) -> LaunchOptions:
    return LaunchOptions(counters=True, sample_blocks=sample_blocks, instruction_budget=_INSTRUCTION_BUDGET)


_UNJOINED = (
    "the call returned with work on a stream that the caller's stream does not wait for: record an event behind it and "
    "let the caller's stream wait for that event"
)
_STATES = {
    DiagnosticKind.RUNAWAY: ExitState.TIMEOUT,
    DiagnosticKind.DEADLOCK: ExitState.TIMEOUT,
    DiagnosticKind.OUTSIDE_MEMBER_MASK: ExitState.LAUNCH_ERROR,
    DiagnosticKind.TRAP: ExitState.LAUNCH_ERROR,
    DiagnosticKind.ASSERTION: ExitState.LAUNCH_ERROR,
}


_FATAL = {
    DiagnosticKind.OUT_OF_BOUNDS,
    DiagnosticKind.MISALIGNED,
    DiagnosticKind.USE_AFTER_FREE,
    DiagnosticKind.TRAP,
    DiagnosticKind.ASSERTION,
}
"""Faults that end the context on a card."""


def conclude(run: HostRun, log: CardLog) -> tuple[ExitState, str]:
    """Say how a run ended, from what the host raised and what the card saw.

    What the simulator lacks comes first, because nothing after it is the candidate's doing; then what the card saw,
    because host code may ignore or rephrase it; then the host's own error; last what was left undone.
    """
    error = run.error
    if log.missing or isinstance(error, UnsupportedError | PtxSyntaxError):
        return ExitState.UNSUPPORTED, log.missing[0] if log.missing else str(error)
    if log.diagnostics:
        first = log.diagnostics[0]
        return _STATES.get(first.kind, ExitState.MEMORY_ERROR), first.message
    if error is not None:
        return _host_error(error, log.refusals)
    if log.refusals:
        return ExitState.LAUNCH_ERROR, f"the host code ignored an error: {'; '.join(log.refusals)}"
    unfinished = run.late or (_UNJOINED if log.unjoined else "")
    return (ExitState.UNFINISHED if unfinished else ExitState.OK), unfinished


def _host_error(error: BaseException, refusals: Sequence[str]) -> tuple[ExitState, str]:
    if isinstance(error, OutOfDeviceMemoryError | MemoryError):
        return ExitState.OUT_OF_MEMORY, str(error)
    if isinstance(error, KernelCompileError):
        return ExitState.COMPILE_ERROR, str(error)
    said = str(error)
    return ExitState.LAUNCH_ERROR, "; ".join((said, *(one for one in refusals if one not in said)))


def _diagnostic(seen: SeenDiagnostic) -> Diagnostic:
    return Diagnostic(
        kind=seen.kind.value,
        kernel=seen.kernel,
        # Where the build stood while it was compiled says nothing to anyone.
        file=Path(seen.file).name if seen.file else None,
        line=seen.line,
        block=seen.block,
        thread=seen.thread,
        message=seen.message,
    )


def _launch(report: LaunchReport) -> Launch:
    modelled = report.modelled
    return Launch(
        kernel=report.kernel,
        grid=report.grid,
        block=report.block,
        dynamic_shared=report.dynamic_shared,
        microseconds=modelled.microseconds if modelled else None,
        counters=flat_counters(report.counters) if report.counters else {},
        limiter=str(modelled.limiter) if modelled else None,
        lines=tuple(_source_line(line) for line in costliest(report.lines, _SHOWN_LINES)),
        hotspots=tuple(
            Hotspot(kind=spot.kind.value, file=Path(spot.file).name, line=spot.line, message=spot.message)
            for spot in find_hotspots(report.lines)
        ),
    )


def _source_line(line: LineCounters) -> SourceLine:
    return SourceLine(
        file=Path(line.file).name, **{name: getattr(line, name) for name in SourceLine.model_fields if name != "file"}
    )


def flat_counters(counters: Counters) -> dict[str, float]:
    """Spell counters as one level of names: `instructions.fp32`, `global_load_sectors`, ..."""
    flat: dict[str, float] = {}
    for name, value in asdict(counters).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{part}": float(number) for part, number in value.items()}
        else:
            flat[name] = float(value)
    return flat

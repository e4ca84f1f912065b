"""Runs a whole CUDA program on the simulated GPU.

The program is a shared object with a `main`, built by `nvcc -shared -Xcompiler -fPIC -cudart shared -lineinfo
-no-compress`. It runs in a process of its own (`python -m simgpu.program`), because it may call `exit`, change global
state or crash. That process tells its parent over a pipe what an exit code cannot: that the simulator lacks something,
so that the program's own verdict is worth nothing; and, where they are asked for, the counters of each launch.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from pydantic import TypeAdapter

from simgpu import DeviceMemory, LaunchOptions
from simgpu.cudart import StandInRuntime
from simgpu.errors import PtxSyntaxError, SimgpuError, UnsupportedError
from simgpu.report import LaunchReport
from simgpu.specs import DeviceSpec

_LOG = logging.getLogger(__name__)

_SIGNAL_BASE = 128
"""A program killed by signal n exits with 128 + n, as a shell says it."""
_PR_SET_PDEATHSIG = 1
"""Of Linux' prctl(2): the signal that a process gets when the thread that started it ends."""


class ProgramError(SimgpuError):
    """The program could not be run: it does not load, or the simulator itself failed."""


class _NewsKind(StrEnum):
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True)
class _News:
    """One line on the pipe."""

    kind: _NewsKind
    message: str
    """What is wrong, or a launch's report as JSON."""


_REPORTS = TypeAdapter(LaunchReport)
_OPTIONS = TypeAdapter(LaunchOptions)


def card_memory(spec: DeviceSpec) -> DeviceMemory:
    """Return a memory as large as the card's, or half of this machine's where that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return DeviceMemory(min(spec.memory_bytes, machine // 2))


def run_program(
    library: Path,
    spec: DeviceSpec,
    args: Sequence[str],
    *,
    checks: bool = True,
    on_launch: Callable[[LaunchReport], None] | None = None,
) -> int:
    """Run a program's `main` and return its exit code; 128 + n when signal n killed it.

    Standard input, output and error are this process's. Faults that the card sees are logged to standard error as
    they happen; the program learns of them as CUDA errors. On Linux the program ends when this process is killed.

    Parameters
    ----------
    library
        Shared object with a `main`.
    spec
        Card to run on.
    args
        What `main` gets as `argv`: the program's name, then its arguments.
    checks
        Check every access of its kernels (`LaunchOptions.checks`).
    on_launch
        Given the report of each launch while the program runs, counters and modelled time included; counting slows
        the program, so it is done only where this is given.

    Raises
    ------
    UnsupportedError
        The program needs something that the simulator lacks, so its exit code says nothing.
    ProgramError
        The program does not load, or the simulator failed.
    """
    reading, writing = os.pipe()
    options = LaunchOptions(checks=checks, counters=on_launch is not None)
    chosen = _OPTIONS.dump_json(options).decode()
    command = [
        *(sys.executable, "-m", "simgpu.program", str(writing), chosen, spec.model_dump_json(), str(library)),
        *args,
    ]
    try:
        child = subprocess.Popen(command, pass_fds=[writing])
    finally:
        os.close(writing)
    troubles = []
    with os.fdopen(reading, encoding="utf-8") as pipe:
        for line in pipe:
            news = _News(**json.loads(line))
            if news.kind == _NewsKind.LAUNCH and on_launch is not None:
                on_launch(_REPORTS.validate_json(news.message))
            else:
                troubles.append(news)
    code = _exit_code(child.wait())
    for trouble in troubles:
        if trouble.kind == _NewsKind.UNSUPPORTED:
            raise UnsupportedError(trouble.message)
        raise ProgramError(trouble.message)
    return code


def _exit_code(ended: int) -> int:
    """Return a process' exit code as a shell gives it, and tell of a signal, which a shell would name too."""
    if ended >= 0:
        return ended
    why = "; if nobody sent it, this machine ran out of memory" if ended == -signal.SIGKILL else ""
    _LOG.warning("the program was ended by signal %d (%s)%s", -ended, signal.strsignal(-ended), why)
    return _SIGNAL_BASE - ended


def _call_main(library: Path, args: Sequence[str]) -> int:
    program = ctypes.CDLL(str(library), mode=os.RTLD_NOW)
    argv = (ctypes.c_char_p * (len(args) + 1))(*(argument.encode() for argument in args), None)
    try:
        return int(program.main(len(args), argv))
    except AttributeError:
        raise ProgramError(f"{library.name} has no main") from None


def _print_as_the_program(text: str) -> None:
    """Write to the C library's standard output, in order with what the program itself prints there."""
    c = ctypes.CDLL(None)
    data = text.encode()
    c.fwrite(data, ctypes.c_size_t(1), ctypes.c_size_t(len(data)), ctypes.c_void_p.in_dll(c, "stdout"))


def _run_here(pipe: TextIO, options: LaunchOptions, spec: DeviceSpec, library: Path, args: Sequence[str]) -> int:
    """Run the program in this process; news goes to the pipe at once, since the program may never return."""

    def tell(kind: _NewsKind, message: str) -> None:
        pipe.write(json.dumps(asdict(_News(kind, message))) + "\n")
        pipe.flush()

    def tell_trouble(error: BaseException) -> None:
        unsupported = isinstance(error, UnsupportedError | PtxSyntaxError)
        tell(_NewsKind.UNSUPPORTED if unsupported else _NewsKind.FAILED, str(error) or repr(error))

    def tell_launch(report: LaunchReport) -> None:
        tell(_NewsKind.LAUNCH, _REPORTS.dump_json(replace(report, printed="")).decode())

    runtime = StandInRuntime(
        spec,
        card_memory(spec),
        options,
        count_when_timed=True,
        on_trouble=tell_trouble,
        on_print=_print_as_the_program,
        on_launch=tell_launch if options.counters else None,
    )
    try:
        runtime.install()
        return _call_main(library, args)
    except (SimgpuError, OSError) as error:
        tell_trouble(error)
        return 1
    finally:
        runtime.close()


def _end_with_parent() -> None:
    """Let this process be killed when its parent is: nobody would read the news, and the program might never end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    _end_with_parent()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="simgpu: %(message)s")
    _, descriptor, chosen, card, program_library, *program_args = sys.argv
    with os.fdopen(int(descriptor), "w", encoding="utf-8") as news:
        code = _run_here(
            news,
            _OPTIONS.validate_json(chosen),
            DeviceSpec.model_validate_json(card),
            Path(program_library),
            program_args,
        )
    sys.exit(code & 0xFF)

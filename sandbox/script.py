"""Runs a whole Python script on the simulated GPU: `device="cuda"` and Triton then mean the simulated card.

The script is the user's own and runs in this process with the user's rights, as `python script.py` would; a candidate
never comes here. PyTorch and Triton mean the card for the rest of the process.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from sandbox.build.python_support import PythonSupport
from sandbox.child.torch_card import TorchCard
from sandbox.child.torch_cuda import stand_in
from sandbox.child.torch_extensions import replace_builder
from sandbox.child.torch_ops import OpLog
from sandbox.settings import SandboxSettings
from sandbox.values import Device
from simgpu import LaunchOptions, LaunchReport, UnsupportedError
from simgpu.specs import device_spec
from simgpu.triton import TritonCard, install

OnLaunch = Callable[[LaunchReport], None]


def run_script(
    script: Path, arguments: Sequence[str], device: Device, *, checks: bool = True, on_launch: OnLaunch | None = None
) -> int:
    """Run a script as `__main__` and return its exit code: 1, after the traceback, when it raises something.

    Parameters
    ----------
    script, arguments
        The file, and what it gets as `sys.argv[1:]`.
    device
        Simulated card.
    checks
        Check every access of its kernels (`LaunchOptions.checks`).
    on_launch
        Given the report of each launch, counters and modelled time included; counting slows the script.

    Raises
    ------
    UnsupportedError
        The script builds an extension of PyTorch, or needs something else that the simulated card lacks.
    InfraError
        PyTorch's device guard does not compile here.
    """
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # Triton's own default, said explicitly, or it warns
    spec = device_spec(device.model)
    options = LaunchOptions(checks=checks, counters=on_launch is not None)
    card = TritonCard(spec, options=options, host_tensors=False, on_launch=on_launch)
    guard = PythonSupport(SandboxSettings.load(), device.arch).guard()
    stand_in(spec, card.memory, lambda: card.modelled_us, guard)
    _refuse_extensions()
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    with install(card), TorchCard(spec, card.memory, OpLog(on_time=card.spend)):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as ended:
            return _exit_code(ended)
        except UnsupportedError:
            raise
        except Exception as error:  # noqa: BLE001 - the script ends here, whatever it raised, as under Python itself
            _print_from(script, error)
            return 1
    return 0


def _refuse_extensions() -> None:
    """Have PyTorch's builder of extensions say what to do instead; it would look for a CUDA toolkit and a card."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnsupportedError(
            "`sim run` runs no extension of PyTorch from a script: give the .cu file to `kernelwright verify`, "
            "or the script as a ModelNew candidate"
        )

    replace_builder(load=refuse, load_inline=refuse)


def _print_from(script: Path, error: Exception) -> None:
    """Print a traceback that begins in the script."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != str(script):
        frame = frame.tb_next
    traceback.print_exception(error.with_traceback(frame or error.__traceback__))


def _exit_code(ended: SystemExit) -> int:
    """Return the code that Python would leave with: a text goes to standard error and counts as 1."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    sys.stderr.write(f"{ended.code}\n")
    return 1

"""Which device a name stands for."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from sandbox.values import Device, DeviceKind
from simgpu.specs import device_spec, known_devices
from tasks.errors import UserError

AUTO_SIMULATED = "h100"
"""The simulated card that `auto` takes where there is no GPU."""

_QUERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A real GPU as its driver describes it."""

    index: int
    name: str
    arch: str
    """Real architecture, for instance `sm_90`."""
    driver: str
    """Driver version."""


def parse_device(name: str) -> Device:
    """Return the device that a name stands for.

    Parameters
    ----------
    name
        `sim:CARD`, `cuda`, `cuda:N`, or `auto`: the first GPU where there is one, else `sim:h100`.

    Raises
    ------
    UserError
        The name is unknown, or there is no such GPU.
    """
    if name == "auto":
        gpus = find_gpus()
        return _cuda(gpus[0]) if gpus else _simulated(AUTO_SIMULATED)
    if name.startswith("sim:"):
        return _simulated(name.removeprefix("sim:"))
    if found := re.fullmatch(r"cuda(?::(\d+))?", name):
        return _real(int(found.group(1) or 0))
    raise UserError(f"there is no device `{name}`; use auto, cuda[:N], or {_simulated_names()}")


def find_gpus() -> tuple[Gpu, ...]:
    """Ask the NVIDIA driver for its GPUs; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=index,name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(done.stdout)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Read lines such as `0, NVIDIA H100 80GB HBM3, 9.0, 580.65.06`; other lines are left out."""
    gpus = []
    for line in text.splitlines():
        if found := re.fullmatch(r"\s*(\d+),\s*(.+?),\s*(\d+)\.(\d+),\s*(\S+)\s*", line):
            index, name, major, minor, driver = found.groups()
            gpus.append(Gpu(index=int(index), name=name, arch=f"sm_{major}{minor}", driver=driver))
    return tuple(gpus)


def _cuda(gpu: Gpu) -> Device:
    return Device(kind=DeviceKind.CUDA, model=gpu.name, index=gpu.index, arch=gpu.arch)


def _simulated(model: str) -> Device:
    if model not in known_devices():
        raise UserError(f"there is no simulated card `{model}`; there are {_simulated_names()}")
    return Device(kind=DeviceKind.SIM, model=model, arch=device_spec(model).arch)


def _real(index: int) -> Device:
    gpus = find_gpus()
    for gpu in gpus:
        if gpu.index == index:
            return _cuda(gpu)
    if gpus:
        raise UserError(f"there is no GPU {index}; there are {', '.join(f'cuda:{gpu.index}' for gpu in gpus)}")
    raise UserError(f"this machine has no NVIDIA GPU with a driver; use {_simulated_names()}")


def _simulated_names() -> str:
    return ", ".join(f"sim:{name}" for name in known_devices())

"""Sees what a call does on a real GPU, its launches and what it copies to the host: by CUPTI, through PyTorch."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from sandbox.child.gpu_hold import END_KERNEL, HOLD_KERNEL
from sandbox.child.torch_ops import SCALAR_ELEMENTS
from sandbox.evidence import HostOp, HostOpKind
from sandbox.values import KernelResources, Launch

Result = TypeVar("Result")
_TO_HOST = "DtoH"
_SCALAR_BYTES = 8 * SCALAR_ELEMENTS
"""What a host program may read back: a count, a flag."""
_ROUNDING_US = 0.5
"""How exact a trace's times are. What waits for a kernel begins later after it than that, and no kernel is as short."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the device did during one call."""

    launches: tuple[Launch, ...] = ()
    """In the order in which they began."""
    host_ops: tuple[HostOp, ...] = ()
    """Copies to the host that are more than a scalar."""
    unjoined: str | None = None
    """A kernel that was not done when the caller's stream was, as `EndMark` marked it."""


class LaunchWatch:
    """Watches calls. Made before the candidate is loaded.

    Parameters
    ----------
    kernels
        Gives the kernels that are the candidate's own, as many as were built so far; the trace has demangled names.

    Attributes
    ----------
    works
        Whether the device tells anything here: some drivers keep CUPTI to administrators.
    """

    def __init__(self, kernels: Callable[[], Iterable[KernelResources]]) -> None:
        self._kernels = kernels
        os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # it would tell of its progress on the candidate's output
        self.works = bool(self.watch(lambda: torch.zeros(64, device="cuda").add_(1))[1].launches)

    def watch(self, work: Callable[[], Result]) -> tuple[Result, Seen]:
        """Do work; return its result and what the device did until it was idle again."""
        with profile(activities=[ProfilerActivity.CUDA]) as watched:
            result = work()
            torch.cuda.synchronize()
        own = {torch._C._demangle(one.kernel): one for one in self._kernels()}  # noqa: SLF001 -- as the profiler does
        return result, seen(_events(watched), own)


def seen(events: Sequence[Mapping[str, Any]], own: Mapping[str, KernelResources]) -> Seen:
    """Read the device's events of a trace in Chrome's format, as PyTorch's profiler writes it.

    Parameters
    ----------
    events
        The trace's events, of any category and in any order.
    own
        The candidate's kernels by demangled name; a launch of another kernel keeps the name that the trace gives.
    """
    ordered = sorted((one for one in events if one.get("ph") == "X"), key=lambda one: float(one["ts"]))
    kernels = [one for one in ordered if one.get("cat") == "kernel"]
    # A candidate's kernel of such a name hides nothing: it counts as the candidate's.
    theirs = [one for one in kernels if one["name"] not in {HOLD_KERNEL, END_KERNEL} - own.keys()]
    launches = tuple(_launch(one, own) for one in theirs)
    end = next((float(one["ts"]) for one in kernels if one["name"] == END_KERNEL), math.inf)
    late = next((str(one["name"]) for one in theirs if float(one["ts"]) + float(one["dur"]) > end + _ROUNDING_US), None)
    return Seen(launches, _brought_to_host(ordered), late)


def _launch(event: Mapping[str, Any], own: Mapping[str, KernelResources]) -> Launch:
    name, arguments = str(event["name"]), event["args"]
    kernel = own.get(name)
    return Launch(
        kernel=kernel.kernel if kernel else name,
        grid=tuple(arguments["grid"]),
        block=tuple(arguments["block"]),
        # The trace gives static and dynamic shared memory together.
        dynamic_shared=max(int(arguments.get("shared memory", 0)) - (kernel.static_shared if kernel else 0), 0),
    )


def _brought_to_host(events: Sequence[Mapping[str, Any]]) -> tuple[HostOp, ...]:
    copies = [one for one in events if one.get("cat") == "gpu_memcpy" and _TO_HOST in str(one["name"])]
    sizes = [nbytes for one in copies if (nbytes := int(one["args"]["bytes"])) > _SCALAR_BYTES]
    if not sizes:
        return ()
    return (HostOp(name="cudaMemcpy", kind=HostOpKind.TO_HOST, nbytes=sum(sizes), count=len(sizes), line=None),)


def _events(watched: profile) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        watched.export_chrome_trace(str(trace))
        return list(json.loads(trace.read_text(encoding="utf-8")).get("traceEvents", ()))

"""A simulated card as Triton's launches see it: memory, options, the launches so far and their modelled time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import torch

from simgpu import DeviceMemory, Diagnostic, Dim3, LaunchOptions, LaunchReport, Module, SimgpuError, launch
from simgpu.cost import model_launch
from simgpu.occupancy import occupancy
from simgpu.program import card_memory
from simgpu.specs import DeviceSpec

_KEPT_LAUNCHES = 1_000


class KernelFaultError(SimgpuError):
    """A Triton kernel did what a GPU punishes or hides; `report` holds the diagnostics with their Python lines."""

    def __init__(self, report: LaunchReport) -> None:
        super().__init__("\n".join(_sentence(one) for one in report.diagnostics))
        self.report = report


def _sentence(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.file}:{diagnostic.line}" if diagnostic.file else f"PTX line {diagnostic.ptx_line}"
    return f"{diagnostic.kernel} at {place}: {diagnostic.message}"


class TritonCard:
    """One card for Triton.

    Parameters
    ----------
    spec
        The card's figures.
    memory
        Its memory; by default as large as the card's, or half of this machine's.
    options
        How launches run. With checks, tensors of host memory are copied to the card for each launch, so that an
        access beside them is seen; without checks kernels work on host memory in place.
    host_tensors
        Whether launches take tensors of host memory at all; a real card does not.
    on_launch
        Given the report of each launch.

    Attributes
    ----------
    launches
        Reports of the latest launches, oldest first.
    modelled_us
        Modelled microseconds of all launches that were counted, and of what else kept the card busy.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        memory: DeviceMemory | None = None,
        options: LaunchOptions | None = None,
        *,
        host_tensors: bool = True,
        on_launch: Callable[[LaunchReport], None] | None = None,
    ) -> None:
        self.spec = spec
        self.memory = memory or card_memory(spec)
        self.options = options or LaunchOptions()
        self.host_tensors = host_tensors
        self._on_launch = on_launch
        self.launches: deque[LaunchReport] = deque(maxlen=_KEPT_LAUNCHES)
        self.modelled_us = 0.0

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a contiguous copy of a tensor that lies in the card's memory for as long as the card lasts."""
        source = tensor.contiguous()
        nbytes = source.numel() * source.element_size()
        if nbytes == 0:
            return source
        view = self.memory.view(self.memory.allocate(nbytes, "tensor"), nbytes)
        placed = torch.frombuffer(view, dtype=source.dtype).reshape(source.shape)
        return placed.copy_(source)

    @property
    def copies(self) -> bool:
        """Whether tensors of host memory are copied to the card: whatever watches accesses must know their places."""
        return self.options.checks or self.options.counters

    def launch(
        self, module: Module, kernel: str, *, grid: Dim3, block: Dim3, params: bytes, shared: int, registers: int
    ) -> None:
        """Run a kernel and record its report; with counters also its modelled time.

        Raises
        ------
        KernelFaultError
            When a check found a fault.
        """
        static = module.kernels[kernel].static_shared
        held = occupancy(self.spec, prod(block), registers, static + shared)
        report = launch(
            module, kernel, grid=grid, block=block, params=params, dynamic_shared=shared, memory=self.memory,
            options=replace(self.options, resident_blocks=held.blocks_per_sm * self.spec.sms),
        )  # fmt: skip
        if report.counters is not None and report.ok:
            modelled = model_launch(self.spec, report.counters, grid, block, registers, static, shared)
            report = replace(report, modelled=modelled)
            self.modelled_us += modelled.microseconds
        self.launches.append(report)
        if self._on_launch is not None:
            self._on_launch(report)
        if not report.ok:
            raise KernelFaultError(report)

    def spend(self, microseconds: float) -> None:
        """Add the modelled time of work on the card that is no launch of Triton's."""
        self.modelled_us += microseconds

    @contextmanager
    def counting(self, sample_blocks: int | None) -> Iterator[None]:
        """Count events in the launches inside, in a sample of blocks only where one is given."""
        before = self.options
        self.options = replace(before, counters=True, sample_blocks=sample_blocks)
        try:
            yield
        finally:
            self.options = before

    def bench(
        self, call: Callable[[], Any], *, quantiles: Sequence[float] | None = None, **_settings: object
    ) -> list[float] | float:
        """Return the modelled milliseconds of the work in `call`, in the form of `triton.testing.do_bench`.

        Each launch runs a sample of its blocks, once: modelled time does not vary. Settings of the number of
        repetitions mean nothing here.
        """
        with self.counting(sample_blocks=_BENCH_BLOCKS):
            before = self.modelled_us
            call()
            milliseconds = (self.modelled_us - before) / 1e3
        return [milliseconds] * len(quantiles) if quantiles is not None else milliseconds


_BENCH_BLOCKS = 32

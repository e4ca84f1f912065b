"""The host side of a `raw` candidate: the launch specification, carried out on a simulated card."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.child.card import Card, Placed
from sandbox.child.host import CardLog, HostError, HostRun
from sandbox.launch.expressions import ExpressionError
from sandbox.launch.spec import (
    SPEC_FILE,
    InputShape,
    LaunchPlan,
    PlannedBuffer,
    PlannedLaunch,
    PlannedScalar,
    parse_launch_spec,
)
from sandbox.protocol import CandidateConfig
from sandbox.values import Tensor
from simgpu import Kernel, LaunchOptions, launch, load_module
from simgpu.cost import model_launch
from simgpu.cudart.cubin import KernelResources
from simgpu.cudart.errors import CudaError
from simgpu.cudart.launching import LaunchShape, check_launch
from simgpu.errors import SimgpuError
from simgpu.report import LaunchReport
from tasks.values import DType

_FORMATS = {DType.INT32: "<i", DType.INT64: "<q", DType.FLOAT32: "<f", DType.FLOAT64: "<d"}


class RawHost:
    """A module and its launch specification on a simulated card.

    Parameters
    ----------
    config
        Names the PTX; `launch.toml` stands beside it.
    card
        Where its tensors live.
    """

    def __init__(self, config: CandidateConfig, card: Card) -> None:
        self._card = card
        self._spec = parse_launch_spec((config.folder / SPEC_FILE).read_text(encoding="utf-8"))
        self._ptx = Path(config.folder, config.ptx or "").read_text(encoding="utf-8")
        self._resources = {one.kernel: KernelResources(one.registers, one.stack) for one in config.kernels}
        self._module = load_module(self._ptx)
        self._module.bind(card.memory)
        self._log = CardLog()

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Copy the arguments to new addresses, launch what the specification says, copy the results back."""
        self._log = CardLog()
        owned: list[int] = []
        try:
            plan = self._spec.plan([InputShape(argument.dtype, argument.shape) for argument in arguments])
            return self._carry_out(plan, arguments, options, owned)
        except (SimgpuError, ExpressionError, HostError) as error:
            return HostRun(error=error)
        finally:
            for address in owned:
                self._card.memory.free(address)

    def log(self) -> CardLog:
        """Return what the card saw during the last run."""
        return self._log

    def _carry_out(
        self, plan: LaunchPlan, arguments: Sequence[Tensor], options: LaunchOptions, owned: list[int]
    ) -> HostRun:
        addresses: dict[str, int] = {}
        placed: list[Placed] = []
        with self._card.shifted():
            for name, argument in zip(plan.inputs, arguments, strict=True):
                placed.append(self._card.put(argument, name))
                addresses[name] = placed[-1].address
                owned.append(placed[-1].allocation)
            for buffer in (*plan.outputs, *plan.scratch):
                addresses[buffer.name] = self._buffer(buffer)
                owned.append(addresses[buffer.name])
        reports: list[LaunchReport] = []
        for step in plan.launches:
            reports.append(self._launch(step, addresses, options))
            if not reports[-1].ok:
                break
        self._log = _log_of(reports)
        outputs = (self._card.read(addresses[one.name], one.dtype, one.shape) for one in plan.outputs)
        return HostRun(outputs=tuple(outputs), arguments_after=tuple(map(self._card.read_back, placed)))

    def _buffer(self, buffer: PlannedBuffer) -> int:
        nbytes = buffer.dtype.itemsize
        for size in buffer.shape:
            nbytes *= size
        address = self._card.allocate(nbytes, buffer.name)
        if buffer.zero and nbytes:
            self._card.memory.view(address, nbytes)[:] = bytes(nbytes)
        return address

    def _launch(self, step: PlannedLaunch, addresses: Mapping[str, int], options: LaunchOptions) -> LaunchReport:
        kernel = self._module.kernels.get(step.kernel)
        resources = self._resources.get(step.kernel)
        if kernel is None or resources is None:
            raise HostError(f"there is no kernel `{step.kernel}`")
        spec = self._card.spec
        shape = LaunchShape(step.grid, step.block, step.dynamic_shared)
        try:
            room = check_launch(spec, kernel, resources, shape, spec.shared_per_block_optin - kernel.static_shared)
        except CudaError as error:
            raise HostError(f"the launch of `{step.kernel}` is refused: {error}") from error
        report = launch(
            self._module,
            step.kernel,
            grid=step.grid,
            block=step.block,
            params=parameter_bytes(kernel, step.arguments, addresses),
            dynamic_shared=step.dynamic_shared,
            memory=self._card.memory,
            options=replace(options, resident_blocks=room),
        )
        if report.counters is None or not report.ok:
            return report
        modelled = model_launch(
            spec,
            report.counters,
            report.grid,
            report.block,
            resources.registers,
            kernel.static_shared,
            step.dynamic_shared,
        )
        return replace(report, modelled=modelled)


def _log_of(reports: Sequence[LaunchReport]) -> CardLog:
    return CardLog(
        launches=tuple(reports),
        diagnostics=tuple(seen for report in reports for seen in report.diagnostics),
        microseconds=sum(report.modelled.microseconds for report in reports if report.modelled),
    )


def parameter_bytes(kernel: Kernel, arguments: Sequence[str | PlannedScalar], addresses: Mapping[str, int]) -> bytes:
    """Lay the arguments out as the kernel declares its parameters.

    Raises
    ------
    HostError
        Their number or a size is not the kernel's.
    """
    if len(arguments) != len(kernel.params):
        raise HostError(f"`{kernel.name}` takes {len(kernel.params)} arguments, {SPEC_FILE} gives {len(arguments)}")
    buffer = bytearray(kernel.param_bytes)
    for parameter, argument in zip(kernel.params, arguments, strict=True):
        data = (
            struct.pack("<Q", addresses[argument])
            if isinstance(argument, str)
            else struct.pack(_FORMATS[argument.dtype], argument.value)
        )
        if len(data) != parameter.size:
            raise HostError(
                f"parameter {parameter.name} of `{kernel.name}` has {parameter.size} bytes,"
                f" {SPEC_FILE} gives {len(data)}"
            )
        buffer[parameter.offset : parameter.offset + parameter.size] = data
    return bytes(buffer)

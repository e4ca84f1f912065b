"""A simulated card that keeps what Triton did on it during one call: launches, refusals, compilations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triton import knobs

from sandbox.child.host import CardLog
from sandbox.child.torch_ops import OpLog
from sandbox.evidence import Specialisation
from simgpu import DeviceMemory, Dim3, LaunchOptions, LaunchRefusedError, Module, PtxSyntaxError, UnsupportedError
from simgpu.report import Diagnostic, LaunchReport
from simgpu.specs import DeviceSpec
from simgpu.triton import TritonCard
from simgpu.triton.binary import registers_of

_KEPT_REPORTS = 10_000


class RecordingCard(TritonCard):
    """A card for one candidate's process.

    Parameters
    ----------
    spec, memory
        The card.
    ops
        What PyTorch does meanwhile; paused while configurations are compared, which is not part of the call.
    """

    def __init__(self, spec: DeviceSpec, memory: DeviceMemory, ops: OpLog) -> None:
        super().__init__(spec, memory, host_tensors=False, on_launch=self._keep)
        self._ops = ops
        self._reports: list[LaunchReport] = []
        self._diagnostics: list[Diagnostic] = []
        self._refusals: list[str] = []
        self._missing: list[str] = []
        self._comparing = False
        self._specialisations: dict[str, Specialisation] = {}
        self._unsent: set[str] = set()

    def begin(self, options: LaunchOptions) -> None:
        """Forget the last call; launches run under these options from now on."""
        self.options = options
        for kept in (self._reports, self._diagnostics, self._refusals, self._missing):
            kept.clear()

    def launch(
        self, module: Module, kernel: str, *, grid: Dim3, block: Dim3, params: bytes, shared: int, registers: int
    ) -> None:
        """Run a kernel, and keep its report or why there is none."""
        try:
            super().launch(module, kernel, grid=grid, block=block, params=params, shared=shared, registers=registers)
        except (UnsupportedError, PtxSyntaxError) as error:
            self._missing.append(str(error))
            raise
        except LaunchRefusedError as error:
            self._refusals.append(str(error))
            raise

    def bench(
        self, call: Callable[[], Any], *, quantiles: Sequence[float] | None = None, **settings: object
    ) -> list[float] | float:
        """Compare configurations; what runs meanwhile is no part of the call that is judged or timed."""
        outer, active = self._comparing, self._ops.active
        self._comparing, self._ops.active = True, False
        try:
            return super().bench(call, quantiles=quantiles, **settings)
        finally:
            self._comparing, self._ops.active = outer, active

    def log(self) -> CardLog:
        """Return what happened since `begin`."""
        kernels = sum(report.modelled.microseconds for report in self._reports if report.modelled)
        sent = tuple(
            one if key in self._unsent else one.model_copy(update={"ptx": ""})
            for key, one in self._specialisations.items()
        )
        self._unsent.clear()
        return CardLog(
            launches=tuple(self._reports),
            diagnostics=tuple(self._diagnostics),
            refusals=tuple(self._refusals),
            missing=tuple(self._missing),
            microseconds=kernels + self._ops.moved_us,
            host_ops=self._ops.ops(),
            specialisations=sent,
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep every compilation of Triton inside the block."""
        before = knobs.compilation.listener
        knobs.compilation.listener = self._compiled
        try:
            yield
        finally:
            knobs.compilation.listener = before

    def _keep(self, report: LaunchReport) -> None:
        self._diagnostics.extend(report.diagnostics)
        if not self._comparing and len(self._reports) < _KEPT_REPORTS:
            self._reports.append(report)

    def _compiled(
        self,
        *,
        src: Any,  # noqa: ANN401 - Triton is untyped
        metadata: Mapping[str, Any],
        metadata_group: Mapping[str, str],
        times: Any,  # noqa: ANN401
        cache_hit: bool,
    ) -> None:
        """Keep one compilation (Triton's hook)."""
        del cache_hit
        binary = next((Path(path) for name, path in metadata_group.items() if name.endswith(".cubin")), None)
        ptx = binary.read_text(encoding="utf-8") if binary is not None else ""
        key = str(metadata["hash"])
        constants = {str(name): str(value) for name, value in getattr(src, "constants", {}).items()}
        self._unsent.add(key)
        self._specialisations[key] = Specialisation(
            kernel=str(metadata["name"]),
            signature=f"{dict(getattr(src, 'signature', {}))} {constants}",
            num_warps=int(metadata["num_warps"]),
            num_stages=int(metadata["num_stages"]),
            registers=registers_of(ptx),
            shared=int(metadata["shared"]),
            ptx_hash=hashlib.sha256(ptx.encode()).hexdigest(),
            ptx=ptx,
            seconds=times.total / 1e6,
        )

"""Runs a Python candidate on a real GPU: PyTorch and Triton as they are, what PyTorch does with values recorded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sandbox.child.extension_loader import ExtensionLoader
from sandbox.child.gpu import CudaRuntime, GpuProgram
from sandbox.child.launch_watch import LaunchWatch
from sandbox.child.library import load_entry
from sandbox.child.link import ParentLink
from sandbox.child.modelnew import load_state
from sandbox.child.program import LoadError
from sandbox.child.python_file import import_file
from sandbox.child.torch_cuda import as_tuple
from sandbox.child.torch_ops import SCALAR_ELEMENTS, OpClass, OpLog, classify
from sandbox.evidence import HostOpKind
from sandbox.protocol import BenchRequest, CallRequest, CandidateConfig
from sandbox.values import MODEL_CLASS, Execution, ExitState, Language, Tensor
from tasks.values import Construction


def load_python(config: CandidateConfig, link: ParentLink, watch: LaunchWatch) -> PythonGpuProgram:
    """Import a candidate's file.

    Raises
    ------
    LoadError
        It raises, or lacks its entry.
    """
    os.environ["TRITON_CACHE_DIR"] = str(Path(tempfile.gettempdir(), "triton"))
    os.environ["TRITON_LIBCUDA_PATH"] = str(_driver_folder())
    torch.set_grad_enabled(mode=False)
    if config.language is Language.MODELNEW:
        CudaRuntime()
        ExtensionLoader(link, _native).take_over()
    source = config.folder / (config.source or "")
    try:
        entry = getattr(import_file(source), MODEL_CLASS if config.language is Language.MODELNEW else config.entry)
    except (Exception, SystemExit) as error:
        raise LoadError(ExitState.LAUNCH_ERROR, f"{source.name}: {type(error).__name__}: {error}") from error
    log = OpLog(str(source))
    python = _ModelEntry(entry) if config.language is Language.MODELNEW else _Function(entry)
    return PythonGpuProgram(python, log, watch)


def _driver_folder() -> Path:
    """Return where the driver's library is, which this process has loaded; Triton would ask `ldconfig`."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return next(Path(line.split(maxsplit=5)[5]).parent for line in maps if "/libcuda.so" in line)


class _Function:
    """The entry of a `triton` candidate."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def renew(self, _construction: Construction | None) -> None:
        """Do nothing: a function is not constructed."""

    def __call__(self, tensors: Sequence[torch.Tensor]) -> object:
        return self._function(*tensors)


class _ModelEntry:
    """The entry of a `modelnew` candidate: one model for each set of state tensors, made when it is first called."""

    def __init__(self, model: Callable[..., torch.nn.Module]) -> None:
        self._model = model
        self._construction: Construction | None = None
        self._made: dict[tuple[int, ...], torch.nn.Module] = {}

    def renew(self, construction: Construction | None) -> None:
        """Take another construction, and forget every model."""
        self._construction = construction
        self._made.clear()

    def __call__(self, tensors: Sequence[torch.Tensor]) -> object:
        construction = self._construction
        if construction is None:
            raise RuntimeError(f"{MODEL_CLASS} cannot be called: nothing says how it is constructed")
        state = tensors[len(construction.inputs) :]
        key = tuple(tensor.data_ptr() for tensor in state)
        if key not in self._made:
            model = self._model(*construction.positional, **construction.named).eval().cuda()
            load_state(model, construction.state, state)
            self._made[key] = model
        named = dict(zip(construction.inputs, tensors, strict=False))
        return self._made[key](*(named[one.tensor] if one.tensor else one.fixed for one in construction.call))


class PythonGpuProgram(GpuProgram):
    """A Python candidate on a GPU.

    Parameters
    ----------
    entry
        What is called.
    log
        Where PyTorch's operators are recorded.
    watch
        Sees what calls launch.
    """

    def __init__(self, entry: _Function | _ModelEntry, log: OpLog, watch: LaunchWatch) -> None:
        super().__init__(self._recorded, watch)
        self._python = entry
        self._log = log
        self._recording = _Recording(log)

    def call(self, request: CallRequest, arguments: Sequence[Tensor]) -> Execution:
        """Run once, PyTorch's operators recorded."""
        self._python.renew(request.construction)
        self._log.start()
        try:
            execution = super().call(request, arguments)
        finally:
            self._log.active = False
        # What PyTorch's dispatcher saw has the line; a copy that the device alone saw was not PyTorch's.
        return replace(execution, host_ops=self._log.ops() or execution.host_ops)

    def bench(self, request: BenchRequest, argument_sets: Sequence[Sequence[Tensor]]) -> Execution:
        """Time it, nothing recorded: a record would cost time."""
        self._python.renew(request.construction)
        return super().bench(request, argument_sets)

    def _recorded(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        if not self._log.active:
            return tuple(as_tuple(self._python(tensors), "the entry"))
        with self._recording:
            return tuple(as_tuple(self._python(tensors), "the entry"))


class _Recording(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Notes what operators do with values, and lets them run."""

    def __init__(self, log: OpLog) -> None:
        super().__init__()
        self._log = log

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, which takes seconds

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 -- an operator's result
        del types
        result = func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        made = [one for one in tree_leaves(result) if isinstance(one, torch.Tensor)]
        nbytes = sum(one.numel() * one.element_size() for one in made)
        op_class = classify(str(func))
        if any(one.is_cuda for one in given) and any(not one.is_cuda and one.numel() > SCALAR_ELEMENTS for one in made):
            self._log.note(str(func), HostOpKind.TO_HOST, nbytes)
        elif op_class is OpClass.COMPUTE:
            self._log.note(str(func), HostOpKind.COMPUTE, nbytes)
        elif op_class is OpClass.MOVEMENT:
            self._log.note(str(func), HostOpKind.MOVEMENT, nbytes)
        return result


def _native(library: Path, function: str) -> Callable[..., Any]:
    entry = load_entry(library, function)

    def call(*arguments: Any) -> Any:  # noqa: ANN401 -- what the host function takes and returns
        return _as_torch(entry(*arguments))

    return call


def _as_torch(value: Any) -> Any:  # noqa: ANN401 -- any result of a host function
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return value
    return torch.from_dlpack(value) if hasattr(value, "__dlpack__") else [_as_torch(item) for item in value]

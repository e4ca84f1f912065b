"""The host side of a Python candidate on a simulated card: imports its file, calls its entry on tensors of the card."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from triton.compiler import CompilationError
from triton.runtime.errors import PTXASError

from sandbox.child.card import Card, Placed
from sandbox.child.host import CardLog, HostError, HostRun, KernelCompileError
from sandbox.child.lateness import LateWrites
from sandbox.child.python_file import import_file
from sandbox.child.torch_card import CardTensor, TorchCard
from sandbox.child.torch_cuda import as_tuple, stand_in
from sandbox.child.torch_ops import OpLog
from sandbox.child.triton_card import RecordingCard
from sandbox.values import Tensor
from simgpu import LaunchOptions
from simgpu.errors import SimgpuError
from simgpu.triton import install
from tasks.values import DType

_LONGEST_ERROR = 1000

Entry = Callable[[Sequence[CardTensor]], object]


class PythonHost:
    """A Python candidate on a simulated card. Made once per process: PyTorch and Triton then mean this card.

    Parameters
    ----------
    source
        The candidate's file.
    card
        Where its tensors live.
    guard
        The compiled device guard.

    Attributes
    ----------
    torch_card
        PyTorch's view of the card.
    """

    def __init__(self, source: Path, card: Card, guard: Path) -> None:
        os.environ["TRITON_CACHE_DIR"] = str(Path(tempfile.gettempdir(), "triton"))
        os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"  # Triton's own default, said explicitly, or it warns
        torch.set_num_threads(1)
        torch.set_grad_enabled(mode=False)
        self._source = source
        self._card = card
        self._ops = OpLog(str(source))
        self._triton = RecordingCard(card.spec, card.memory, self._ops)
        self.torch_card = TorchCard(card.spec, card.memory, self._ops)
        stand_in(card.spec, card.memory, self._clock, guard)
        self._stack = ExitStack()
        self._stack.enter_context(install(self._triton))
        self._stack.enter_context(self._triton.listening())
        self._stack.enter_context(self.torch_card)

    def load(self) -> ModuleType:
        """Import the candidate's file.

        Raises
        ------
        HostError
            It raises.
        """
        with self.blamed():
            return import_file(self._source)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Turn what the candidate raises into one sentence with its line."""
        try:
            yield
        except (HostError, SimgpuError, MemoryError):
            raise
        except (CompilationError, PTXASError) as error:
            raise KernelCompileError(self._compile_error(error)) from error
        except (Exception, SystemExit) as error:
            raise HostError(self._sentence(error)) from error

    def run(
        self,
        entry: Entry,
        arguments: Sequence[Tensor],
        options: LaunchOptions,
        *,
        prepare: Callable[[Sequence[CardTensor]], None] | None = None,
    ) -> HostRun:
        """Copy the arguments to new addresses, call the entry, copy the results back.

        Parameters
        ----------
        entry
            What is judged and timed.
        arguments, options
            Of the call.
        prepare
            Runs first on the same tensors, unrecorded.
        """
        self._triton.begin(options)
        placed: list[Placed] = []
        late_writes = LateWrites()
        try:
            with self._card.shifted():
                placed += [self._card.put(tensor, f"argument {i}") for i, tensor in enumerate(arguments)]
            tensors = list(map(self._tensor, placed))
            with self.blamed():
                if prepare is not None:
                    prepare(tensors)
                self._ops.start()
                try:
                    results = as_tuple(entry(tensors), "the entry")
                finally:
                    self._ops.active = False
            outputs = tuple(map(self._read, results))
            late = late_writes.among(outputs, lambda: tuple(map(self._read, results)))
            after = tuple(map(self._card.read_back, placed))
        except (HostError, SimgpuError, MemoryError) as error:
            return HostRun(error=error)
        finally:
            for one in placed:
                self._card.memory.free(one.allocation)
        return HostRun(outputs=outputs, arguments_after=after, late=late)

    def log(self) -> CardLog:
        """Return what the card saw during the last run, and what PyTorch and Triton did."""
        return self._triton.log()

    def _clock(self) -> float:
        return self._triton.modelled_us

    def _tensor(self, placed: Placed) -> CardTensor:
        dtype: torch.dtype = getattr(torch, placed.dtype.value)
        if 0 in placed.shape:
            return self.torch_card.place(torch.empty(placed.shape, dtype=dtype), "argument")
        return self.torch_card.over(placed.address, dtype, placed.shape, placed.strides)

    def _read(self, result: torch.Tensor) -> Tensor:
        if not isinstance(result, CardTensor):
            raise HostError("a result is not on the GPU")
        name = str(result.dtype).removeprefix("torch.")
        if name not in set(DType):
            raise HostError(f"a result has the element type {name}, which tasks do not exchange")
        return self._card.read(result.data_ptr(), DType(name), tuple(result.shape), tuple(result.stride()))

    def _sentence(self, error: BaseException) -> str:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(self._source)]
        if isinstance(error, SyntaxError) and error.filename == str(self._source):
            lines.append(error.lineno)
        place = f"{self._source.name}:{lines[-1]}" if lines else self._source.name
        return f"{place}: {type(error).__name__}: {' '.join(str(error).split())[:_LONGEST_ERROR]}"

    def _compile_error(self, error: Exception) -> str:
        """Say what Triton refuses, with the line of the file: Triton counts from the kernel's own first line."""
        root: BaseException = error
        while isinstance(root.__cause__, CompilationError):
            root = root.__cause__
        if not isinstance(root, CompilationError):
            return self._sentence(root)
        text = self._source.read_text(encoding="utf-8")
        line = getattr(root.node, "lineno", None)
        start = text.find(root.src) if root.src else -1
        if line is None or start < 0:
            return self._sentence(root)
        number = text.count("\n", 0, start) + line
        code = text.splitlines()[number - 1].strip()
        said = root.error_message or type(root).__name__
        return f"{self._source.name}:{number}: {said}\n    {code}"


def call_function(module: ModuleType, entry: str) -> Entry:
    """Return the call of a module's function on all tensors in order.

    Raises
    ------
    HostError
        There is no such function.
    """
    function: Any = getattr(module, entry, None)
    if not callable(function):
        raise HostError(f"{Path(module.__file__ or '').name} defines no function `{entry}`")
    return lambda tensors: function(*tensors)


class TritonHost:
    """A `triton` candidate: its entry called on all tensors in order."""

    def __init__(self, host: PythonHost, entry: str) -> None:
        self._host = host
        self._entry = call_function(host.load(), entry)

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Call the entry."""
        return self._host.run(self._entry, arguments, options)

    def log(self) -> CardLog:
        """Return what the card saw."""
        return self._host.log()

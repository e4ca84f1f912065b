"""Runs a candidate on a real GPU, with PyTorch's tensors and CUDA events."""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import tvm_ffi
from cuda.bindings import driver

from sandbox.child.gpu_clock import GpuClock
from sandbox.child.gpu_driver import DriverError, checked, function_of, launch, load_module
from sandbox.child.gpu_hold import DeviceHold, EndMark
from sandbox.child.gpu_memory import poison_free_memory
from sandbox.child.lateness import LateWrites
from sandbox.child.launch_watch import LaunchWatch, Seen
from sandbox.child.library import load_entry
from sandbox.child.link import ParentLink
from sandbox.child.reference import from_torch, to_torch
from sandbox.launch.expressions import ExpressionError
from sandbox.launch.spec import SPEC_FILE, InputShape, PlannedBuffer, PlannedLaunch, parse_launch_spec
from sandbox.layouts import Layout, place
from sandbox.protocol import BenchRequest, CallRequest, CandidateConfig
from sandbox.toolchain import cuda_root
from sandbox.values import Execution, ExitState, Language, Tensor
from tasks.values import DType

Results = tuple[torch.Tensor, ...]
Entry = Callable[[Sequence[torch.Tensor]], Results]
_ILLEGAL = ("illegal memory access", "misaligned address", "illegal instruction", "unspecified launch failure")
_HOLD_SECONDS = 0.02
"""How long a call may keep the host busy before its kernels begin while it is still enqueuing others."""
_FORMATS = {DType.INT32: "<i", DType.INT64: "<q", DType.FLOAT32: "<f", DType.FLOAT64: "<d"}


def open_context(index: int) -> None:
    """Take a GPU for this process, and expect it to work."""
    torch.cuda.set_device(index)
    torch.cuda.synchronize()


def load_gpu(config: CandidateConfig, link: ParentLink) -> GpuProgram:
    """Load a build onto a GPU.

    Raises
    ------
    LoadError
        It cannot be loaded.
    """
    watch = LaunchWatch(lambda: (*config.kernels, *link.kernels))
    if config.language.is_python:
        from sandbox.child.python_gpu import load_python  # noqa: PLC0415 -- Triton only where it is needed

        return load_python(config, link, watch)
    entry = _extension(config) if config.language is Language.CUDA else _RawEntry(config)
    return GpuProgram(entry, watch)


class GpuProgram:
    """A candidate on a real GPU.

    Parameters
    ----------
    entry
        What is called.
    watch
        Sees what calls launch.
    """

    def __init__(self, entry: Entry, watch: LaunchWatch) -> None:
        self._entry = entry
        self._watch = watch
        self._hold = DeviceHold()
        self._aside = torch.cuda.Stream()
        self._end = EndMark()

    def call(self, request: CallRequest, arguments: Sequence[Tensor]) -> Execution:
        """Run once. The checks, counters and schedules of the simulated device do not exist here."""
        del request

        def work() -> Execution:
            tensors = [_placed(argument) for argument in arguments]
            poison_free_memory(sum(len(argument.data) for argument in arguments))
            torch.cuda.synchronize()
            late_writes = LateWrites()
            (results, read), device = self._watched(tensors)
            torch.cuda.synchronize()
            outputs = tuple(map(from_torch, read))
            late = _unjoined(device) or late_writes.among(outputs, lambda: tuple(map(from_torch, results)))
            return Execution(
                state=ExitState.UNFINISHED if late else ExitState.OK,
                message=late,
                outputs=outputs,
                arguments_after=tuple(map(from_torch, tensors)),
                launches=device.launches,
                host_ops=device.host_ops,
                watched=self._watch.works,
            )

        return _concluded(work)

    def _watched(self, tensors: Sequence[torch.Tensor]) -> tuple[tuple[Results, Results], Seen]:
        """Call the entry; return its results, what the caller's next kernel would read of them, and what was seen."""
        stream = torch.cuda.current_stream()

        def called() -> tuple[Results, Results]:
            with self._hold.held(self._aside, _HOLD_SECONDS):
                results = self._entry(tensors)
                self._end.set_after(stream)
                with torch.cuda.stream(stream):
                    return results, tuple(one.detach().clone() for one in results)

        return self._watch.watch(called) if self._watch.works else (called(), Seen())

    def bench(self, request: BenchRequest, argument_sets: Sequence[Sequence[Tensor]]) -> Execution:
        """Time calls with the argument sets in turn (see `GpuClock`)."""

        def work() -> Execution:
            sets = [[to_torch(argument).cuda() for argument in arguments] for arguments in argument_sets]
            outputs = tuple(map(from_torch, self._entry(sets[0])))
            turns = itertools.cycle(sets)
            samples = GpuClock().samples(lambda: self._entry(next(turns)), request.repeats)
            return Execution(state=ExitState.OK, outputs=outputs, samples_us=samples)

        return _concluded(work)


def _unjoined(device: Seen) -> str:
    if device.unjoined is None:
        return ""
    return f"the caller's stream was done while {device.unjoined} was not: nothing had waited for it"


def _placed(argument: Tensor) -> torch.Tensor:
    """Copy an argument to the card in its layout; what lies between its elements is NaN, or -1."""
    dense = to_torch(argument).cuda()
    if argument.layout is Layout.DENSE:
        return dense
    placement = place(argument.shape, argument.layout)
    gaps = torch.full((placement.elements * dense.element_size(),), 0xFF, dtype=torch.uint8, device="cuda")
    view = gaps.view(dense.dtype).as_strided(dense.shape, placement.strides, placement.offset)
    return view.copy_(dense)


def _concluded(work: Callable[[], Execution]) -> Execution:
    try:
        return work()
    except torch.cuda.OutOfMemoryError as error:
        return Execution(state=ExitState.OUT_OF_MEMORY, message=str(error))
    except Exception as error:  # noqa: BLE001 -- TVM FFI raises whatever class the host code names
        text = str(error)
        illegal = any(phrase in text for phrase in _ILLEGAL)
        state = ExitState.MEMORY_ERROR if illegal else ExitState.LAUNCH_ERROR
        return Execution(state=state, message=text, context_lost=not _context_works())


def _context_works() -> bool:
    """Whether the context survived; every call gives the error that ended it (CUDA C++ Programming Guide)."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def _extension(config: CandidateConfig) -> Entry:
    runtime = CudaRuntime()
    function = load_entry(config.folder / (config.library or ""), config.entry)

    def entry(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        runtime.take_error()
        result = function(*tensors)
        if refused := runtime.take_error():
            raise DriverError(f"the CUDA runtime refused a call of the candidate's: {refused}")
        values = (result,) if isinstance(result, torch.Tensor | tvm_ffi.Tensor) else tuple(result)
        return tuple(torch.from_dlpack(value) for value in values)

    return entry


class CudaRuntime:
    """The CUDA runtime that extensions are linked against, loaded for them."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(cuda_root() / "lib" / "libcudart.so.13"), mode=ctypes.RTLD_GLOBAL)
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def take_error(self) -> str:
        """Return the error that an earlier call left behind, a refused launch for instance, and forget it."""
        code = int(self._library.cudaGetLastError())
        return self._library.cudaGetErrorString(code).decode() if code else ""


class _RawEntry:
    """A launch specification carried out through the CUDA driver."""

    def __init__(self, config: CandidateConfig) -> None:
        self._spec = parse_launch_spec((config.folder / SPEC_FILE).read_text(encoding="utf-8"))
        self._module = load_module(Path(config.folder, config.ptx or "").read_bytes())

    def __call__(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        shapes = [InputShape(DType(str(one.dtype).removeprefix("torch.")), tuple(one.shape)) for one in tensors]
        try:
            plan = self._spec.plan(shapes)
        except ExpressionError as error:
            raise DriverError(str(error)) from error
        named = dict(zip(plan.inputs, tensors, strict=True))
        for buffer in (*plan.outputs, *plan.scratch):
            named[buffer.name] = _new(buffer)
        for step in plan.launches:
            self._launch(step, named)
        return tuple(named[buffer.name] for buffer in plan.outputs)

    def _launch(self, step: PlannedLaunch, named: dict[str, torch.Tensor]) -> None:
        kernel = function_of(self._module, step.kernel)
        packed = [
            struct.pack("<Q", named[item].data_ptr())
            if isinstance(item, str)
            else struct.pack(_FORMATS[item.dtype], item.value)
            for item in step.arguments
        ]
        shared = step.dynamic_shared
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        checked(driver.cuFuncSetAttribute(kernel, attribute, shared))
        stream = torch.cuda.current_stream().cuda_stream
        launch(kernel, step.grid, step.block, packed, stream=stream, dynamic_shared=shared)


def _new(buffer: PlannedBuffer) -> torch.Tensor:
    make = torch.zeros if buffer.zero else torch.empty
    return make(buffer.shape, dtype=getattr(torch, buffer.dtype.value), device="cuda")

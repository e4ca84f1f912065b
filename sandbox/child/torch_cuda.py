"""What `torch.cuda` and `torch.tensor` mean in the process of a Python candidate on a simulated card.

PyTorch's CPU build has no CUDA functions; these stand in for the ones that host code of kernels uses. There is one
card and one stream, work has ended when its launch returns, and events read the card's modelled clock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, Self

import torch
from torch.overrides import TorchFunctionMode

from sandbox.child import torch_autograd
from simgpu import DeviceMemory, UnsupportedError
from simgpu.specs import WARP_SIZE, DeviceSpec

_WITHOUT_EFFECT = (
    "_lazy_init", "init", "synchronize", "empty_cache", "set_device", "set_stream", "manual_seed", "manual_seed_all",
    "reset_peak_memory_stats",
)  # fmt: skip
"""What there is nothing to do for: tensors of the card need no driver, and work has ended when its launch returns."""

Clock = Callable[[], float]
"""Microseconds of modelled time so far."""


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """A card's figures under PyTorch's names."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    max_threads_per_multi_processor: int
    max_threads_per_block: int
    regs_per_multiprocessor: int
    shared_memory_per_block: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    L2_cache_size: int
    warp_size: int
    clock_rate: int
    memory_clock_rate: int
    memory_bus_width: int

    @classmethod
    def of(cls, spec: DeviceSpec) -> DeviceProperties:
        """Rename a card's figures."""
        major, minor = spec.compute_capability
        return cls(
            name=spec.title,
            major=major,
            minor=minor,
            total_memory=spec.memory_bytes,
            multi_processor_count=spec.sms,
            max_threads_per_multi_processor=spec.max_threads_per_sm,
            max_threads_per_block=spec.max_threads_per_block,
            regs_per_multiprocessor=spec.registers_per_sm,
            shared_memory_per_block=spec.shared_per_block,
            shared_memory_per_block_optin=spec.shared_per_block_optin,
            shared_memory_per_multiprocessor=spec.shared_per_sm,
            L2_cache_size=spec.l2_bytes,
            warp_size=WARP_SIZE,
            clock_rate=spec.boost_mhz * 1000,
            memory_clock_rate=spec.memory_mhz * 1000,
            memory_bus_width=spec.memory_bus_bits,
        )


class Stream:
    """A stream; all streams of the card are one, so waiting is done."""

    cuda_stream = 0
    device = torch.device("cuda", 0)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def synchronize(self) -> None:
        """Do nothing: work has ended when its launch returns."""

    def wait_stream(self, _stream: object) -> None:
        """Do nothing: streams run in the order of their launches."""

    def wait_event(self, _event: object) -> None:
        """Do nothing: an event that was recorded has passed."""

    def query(self) -> bool:
        """Return True: all work has ended."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _event_class(clock: Clock) -> type:
    """Return the class of events, which read the card's modelled clock."""

    class Event:
        """A point on the card's modelled clock."""

        def __init__(self, *_: object, **__: object) -> None:
            self._at = 0.0

        def record(self, _stream: object = None) -> None:
            self._at = clock()

        def elapsed_time(self, end: Event) -> float:
            return (end._at - self._at) / 1e3

        def synchronize(self) -> None:
            pass

        def wait(self, _stream: object = None) -> None:
            pass

        def query(self) -> bool:
            return True

    return Event


def stand_in(spec: DeviceSpec, memory: DeviceMemory, clock: Clock, guard: Path) -> None:
    """Make `torch.cuda` and `device="cuda"` mean a simulated card, for the rest of this process.

    Parameters
    ----------
    spec, memory
        The card.
    clock
        What events read.
    guard
        The compiled device guard (see `native/cuda_guard.cpp`).
    """
    ctypes.CDLL(str(guard))
    cuda = torch.cuda
    properties = DeviceProperties.of(spec)
    default = Stream()

    answers: dict[str, Callable[[], object]] = {
        **dict.fromkeys(_WITHOUT_EFFECT, lambda: None),
        **dict.fromkeys(("is_available", "is_initialized", "is_bf16_supported"), lambda: True),
        **dict.fromkeys(("current_stream", "default_stream"), lambda: default),
        **dict.fromkeys(("memory_allocated", "max_memory_allocated"), lambda: memory.used),
        **dict.fromkeys(("current_device", "_exchange_device", "_maybe_exchange_device"), lambda: 0),
        "device_count": lambda: 1,
        "initial_seed": torch.initial_seed,
        "get_device_properties": lambda: properties,
        "get_device_capability": lambda: spec.compute_capability,
        "get_device_name": lambda: spec.title,
        "mem_get_info": lambda: (memory.capacity - memory.used, memory.capacity),
    }
    for name, answer in answers.items():
        setattr(cuda, name, _answering(answer))
    cuda.Stream, cuda.Event = Stream, _event_class(clock)
    cuda.device = cuda.stream = cuda.device_of = _no_switch
    cuda.CUDAGraph = cuda.graph = cuda.make_graphed_callables = _unsupported("CUDA graphs of PyTorch")
    # A module's parameters become the card's tensors themselves: changing them in place would lose what they are.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.compile = _unsupported("torch.compile")
    _take_inductors_code()
    torch_autograd.take_over()
    for name in ("tensor", "as_tensor"):
        setattr(torch, name, _made_on_host(getattr(torch, name)))
    torch._C._nn._parse_to = _for_modules(torch._C._nn._parse_to)  # noqa: SLF001 -- no public way
    _DevicesByNumber().__enter__()  # for good


_MOVES = frozenset({torch.Tensor.to, torch.Tensor.cuda})
"""Methods whose first argument may be a device."""


class _DevicesByNumber(TorchFunctionMode):  # type: ignore[misc] # torch is untyped here
    """Takes a number for the device of that number, which the CPU build of PyTorch refuses."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 -- what PyTorch's functions return
        del types
        kwargs = kwargs or {}
        if "device" in kwargs:
            kwargs["device"] = _named(kwargs["device"])
        elif len(args) > 1 and func in _MOVES:
            args = (args[0], _named(args[1]), *args[2:])
        return func(*args, **kwargs)


def _named(device: Any) -> Any:  # noqa: ANN401 -- whatever may stand where a device does
    return torch.device("cuda", device) if type(device) is int else device


def _for_modules(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Return what tells `Module.to` which device and type its arguments name; no mode sees it."""

    def parsed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as PyTorch's own
        return parse(*map(_named, args), **{name: _named(value) for name, value in kwargs.items()})

    return parsed


def _answering(answer: Callable[[], object]) -> Callable[..., object]:
    """Return a function that takes any arguments, of one card with one stream; PyTorch's tracer wants each another."""
    return lambda *_, **__: answer()


@contextmanager
def _no_switch(*_: object, **__: object) -> Iterator[None]:
    """Enter the context of the only card, or of the only stream."""
    yield


def _unsupported(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnsupportedError(f"{what}: not on a simulated card")

    return refuse


def _take_inductors_code() -> None:
    """Give the two functions of PyTorch's own that kernels which `torch.compile` wrote are launched with."""

    def empty_strided(size: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty_strided(size, stride, dtype=dtype, device="cuda")

    torch._C._cuda_getCurrentRawStream = lambda *_: Stream.cuda_stream  # noqa: SLF001
    torch._C._dynamo.guards._empty_strided_cuda = empty_strided  # noqa: SLF001


def _made_on_host(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return a constructor from values that fills a host tensor and copies it: the CPU build would copy by itself."""

    @wraps(make)
    def made(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:  # noqa: ANN401 - as PyTorch's own
        if device is None or isinstance(args[0] if args else None, torch.Tensor):
            tensor = make(*args, **kwargs)
        else:
            tensor = make(*args, device="cpu", **kwargs)
        return tensor if device is None else tensor.to(device)

    return made


def as_tuple(value: object, entry: str) -> Sequence[torch.Tensor]:
    """Return an entry's result as tensors.

    Raises
    ------
    TypeError
        It is something else than a tensor or a sequence of them.
    """
    values = (value,) if isinstance(value, torch.Tensor) else value
    if not isinstance(values, tuple | list) or not values or not all(isinstance(one, torch.Tensor) for one in values):
        raise TypeError(f"`{entry}` returned {type(value).__name__} where a tensor or a tuple of them is expected")
    return values

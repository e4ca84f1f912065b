"""PyTorch tensors that lie in a simulated card's memory and pass for CUDA tensors.

A `CardTensor` has the device `cuda:0` and no memory of its own as far as PyTorch knows. Every operator on it comes
here, runs on the CPU over the card's memory, and is recorded: PyTorch's own operators are not the candidate's work.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from sandbox.child.torch_ops import SCALAR_ELEMENTS, OpClass, OpLog, classify
from sandbox.evidence import HostOpKind
from sandbox.layouts import extent
from simgpu import DeviceMemory, UnsupportedError
from simgpu.specs import DeviceSpec

CUDA = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_MIXING = ("aten.copy_", "aten.index", "aten._to_copy")
"""Operators that take tensors of both devices."""


class CardTensor(torch.Tensor):  # type: ignore[misc] # torch is untyped here
    """A tensor of the card.

    Parameters
    ----------
    inner
        A CPU tensor over the card's memory: the same sizes, strides and type.
    card
        Whose memory it is.
    """

    inner: torch.Tensor
    card: TorchCard
    __torch_function__: ClassVar[Any] = torch._C._disabled_torch_function_impl  # noqa: SLF001 - PyTorch's documented way

    @staticmethod
    def __new__(cls: type[Self], inner: torch.Tensor, card: TorchCard) -> Self:
        """Make the outer tensor."""
        del card  # `__init__` keeps it
        # In inference mode too it has a version: one that is a view of a tensor from before would have to share that.
        with torch.inference_mode(mode=False):
            made: Self = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001 - PyTorch's documented way
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=CUDA,
            )
        return made

    def __init__(self, inner: torch.Tensor, card: TorchCard) -> None:
        self.inner = inner
        self.card = card

    def data_ptr(self) -> int:
        """Return the address on the card."""
        return int(self.inner.data_ptr())

    def numpy(self, **_: object) -> Any:  # noqa: ANN401 - as PyTorch's own
        """Refuse, as PyTorch does for tensors of a GPU."""
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def register_hook(self, *_: object) -> Any:  # noqa: ANN401 - as PyTorch's own
        """Refuse: the backward pass over the card's tensors calls none."""
        raise UnsupportedError("register_hook on the card's tensors: not on a simulated card")

    def retain_grad(self) -> None:
        """Refuse for what is no leaf: the backward pass over the card's tensors keeps the leaves' gradients alone."""
        if not self.is_leaf:
            raise UnsupportedError("retain_grad on the card's tensors: not on a simulated card")

    def tolist(self) -> Any:  # noqa: ANN401 - as PyTorch's own
        """Return the values, copied to the host first."""
        return self.cpu().tolist()

    def __repr__(self, **_: object) -> str:
        """Return the values in PyTorch's own form, copied to the host first."""
        values, comma, dtype = repr(self.cpu()).removesuffix(")").rpartition(", dtype=")
        return f"{values}, device='cuda:0', dtype={dtype})" if comma else f"{dtype}, device='cuda:0')"

    def __format__(self, spec: str) -> str:
        """Return a number in the form asked for where there is but one, else all values, as PyTorch does."""
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - an operator's result
        """Run an operator on the card that one of its tensors belongs to."""
        del types
        return next(_card_tensors((args, kwargs))).card.run(func, args, kwargs or {})


class TorchCard(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """A card as PyTorch's operators see it; a context in which `device="cuda"` means this card.

    Parameters
    ----------
    spec
        The card's figures.
    memory
        Its memory.
    log
        Where operators that touch values are recorded.
    """

    def __init__(self, spec: DeviceSpec, memory: DeviceMemory, log: OpLog) -> None:
        super().__init__()
        self._spec = spec
        self._memory = memory
        self._log = log

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: PyTorch would import its compiler, which takes seconds, to keep it from compiling this method."""
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - an operator's result
        """Run an operator, whatever its tensors are."""
        del types
        return self.run(func, args, kwargs or {})

    def over(
        self,
        address: int,
        dtype: torch.dtype,
        shape: Sequence[int],
        strides: Sequence[int],
        *,
        owner: object = None,
    ) -> CardTensor:
        """Return a tensor over memory of the card; `owner` is kept for as long as the memory is used."""
        array = self._bytes(address, dtype, shape, strides)
        weakref.finalize(array, _let_go, owner)
        return CardTensor(_strided(array, dtype, shape, strides), self)

    def place(self, source: torch.Tensor, label: str, *, copy: bool = True) -> CardTensor:
        """Return a tensor in new memory of the card, with the values of a CPU tensor when `copy`."""
        if source.numel() == 0:
            return CardTensor(source, self)
        shape, strides = tuple(source.shape), tuple(source.stride())
        address = self._memory.allocate(extent(shape, strides) * source.element_size(), label)
        array = self._bytes(address, source.dtype, shape, strides)
        # The array lives as long as the storage that is made of it.
        weakref.finalize(array, self._memory.free, address)
        inner = _strided(array, source.dtype, shape, strides)
        if copy:
            inner.copy_(source)
        return CardTensor(inner, self)

    def run(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Run one operator on the CPU, its new results on the card where a GPU would have them."""
        call = _Call.of(func, args, kwargs)
        self._refuse_mixed(call)
        inner_args, inner_kwargs = tree_map(_unwrapped, (tuple(args), dict(kwargs)))
        if kwargs.get("device") is not None:
            inner_kwargs["device"] = _CPU
        if "pin_memory" in inner_kwargs:
            inner_kwargs["pin_memory"] = False  # the CPU build has no pinned memory
        result = func(*inner_args, **inner_kwargs)
        known = {id(tensor.inner): tensor for tensor in call.on_card}
        made = tree_map(lambda value: self._outer(value, call, known), result)
        self._record(call, made)
        return made

    def _outer(self, value: Any, call: _Call, known: Mapping[int, CardTensor]) -> Any:  # noqa: ANN401
        if not isinstance(value, torch.Tensor) or isinstance(value, CardTensor):
            return value
        if id(value) in known:
            return known[id(value)]
        if not call.to_card:
            return value
        if value.numel() == 0 or self._holds(value):
            return CardTensor(value, self)
        return self.place(value, "torch." + call.name.split(".")[1], copy=call.op_class is not OpClass.EMPTY)

    def _record(self, call: _Call, made: Any) -> None:  # noqa: ANN401
        results = list(_tensors(made))
        nbytes = sum(value.numel() * value.element_size() for value in results)
        leaves = bool(call.on_card) and not all(isinstance(value, CardTensor) for value in results)
        if leaves and any(value.numel() > SCALAR_ELEMENTS for value in results):
            self._log.note(call.name, HostOpKind.TO_HOST, nbytes)
        elif call.op_class is OpClass.COMPUTE:
            self._log.note(call.name, HostOpKind.COMPUTE, nbytes)
        elif call.op_class is OpClass.MOVEMENT:
            self._log.note(call.name, HostOpKind.MOVEMENT, nbytes)
        if self._log.timed and call.to_card and call.op_class not in {OpClass.EMPTY, OpClass.VIEW}:
            read = sum(tensor.numel() * tensor.element_size() for tensor in call.on_card)
            self._log.spend(self._spec.launch_overhead_us + (read + nbytes) / (self._spec.dram_gbps * 1e3))

    def _refuse_mixed(self, call: _Call) -> None:
        if call.on_card and call.on_host and not call.name.startswith(_MIXING):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
            )

    def _holds(self, tensor: torch.Tensor) -> bool:
        return self._memory.base <= int(tensor.untyped_storage().data_ptr()) < self._memory.top

    def _bytes(
        self, address: int, dtype: torch.dtype, shape: Sequence[int], strides: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        nbytes = extent(shape, strides) * dtype.itemsize
        return np.frombuffer(self._memory.view(address, nbytes), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Call:
    """One operator's call, seen from outside."""

    name: str
    op_class: OpClass
    on_card: tuple[CardTensor, ...]
    on_host: bool
    """Whether a tensor of host memory with dimensions is among its arguments."""
    to_card: bool
    """Whether its new results belong on the card."""

    @classmethod
    def of(cls, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Call:
        tensors = list(_tensors((args, kwargs)))
        on_card = tuple(tensor for tensor in tensors if isinstance(tensor, CardTensor))
        wanted = kwargs.get("device")
        name = str(func)
        return cls(
            name=name,
            op_class=classify(name),
            on_card=on_card,
            on_host=any(not isinstance(tensor, CardTensor) and tensor.dim() for tensor in tensors),
            to_card=bool(on_card) if wanted is None else torch.device(wanted).type == CUDA.type,
        )


def _let_go(_owner: object) -> None:
    """Be a finaliser that does nothing but hold its argument until then."""


def _tensors(values: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401 - arguments of any operator
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(tuple(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def _card_tensors(values: Any) -> Iterator[CardTensor]:  # noqa: ANN401 - arguments of any operator
    return (tensor for tensor in _tensors(values) if isinstance(tensor, CardTensor))


def _unwrapped(value: Any) -> Any:  # noqa: ANN401 - one argument of any operator
    return value.inner if isinstance(value, CardTensor) else value


def _strided(
    array: np.ndarray[Any, Any], dtype: torch.dtype, shape: Sequence[int], strides: Sequence[int]
) -> torch.Tensor:
    return torch.frombuffer(array, dtype=torch.uint8).view(dtype).as_strided(tuple(shape), tuple(strides))

"""Finds the legal values of a reference's tensors by running it on values of several kinds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from tasks.errors import UserError
from tasks.reference.running import Reference
from tasks.values import Domain, DomainKind, InputSpec, Precision, Role

_SEED = 1
_FEW = 8
_BOUND_FACTOR = 4
_REAL_KINDS = (DomainKind.REAL, DomainKind.POSITIVE, DomainKind.PROBABILITY)

Tensors = Mapping[str, torch.Tensor]


def find_kinds(reference: Reference, specs: tuple[InputSpec, ...], examples: Tensors) -> dict[str, DomainKind]:
    """Return the family of legal values of each tensor that a candidate is to receive.

    Booleans are masks, and so are floating inputs that hold zeros and ones only. Integers from 0 up are indices. A
    floating tensor takes any numbers; where the reference then raises, or gives NaN or infinity, positive numbers and
    then numbers in [0, 1] are tried. Buffers that the op does not read, or that work only with the values of their
    constructor, are left out: they are part of the op, like its scalars.

    Raises
    ------
    UserError
        No kind of values works for an input or a parameter.
    """
    read = _read_buffers(reference, specs, examples)
    received = [s for s in specs if s.role is not Role.BUFFER or s.name in read]
    if _all_real_at_once(reference, received, examples):
        return {spec.name: _stated_kind(spec, examples[spec.name]) or DomainKind.REAL for spec in received}
    kinds: dict[str, DomainKind] = {}
    for group in _groups(reference, received, examples):
        kind = _kind(reference, group, examples)
        if kind is not None:
            kinds |= dict.fromkeys((spec.name for spec in group), kind)
        elif group[0].role is not Role.BUFFER:
            raise UserError(
                f"'{group[0].name}' gives NaN, infinity or an error for real, positive and [0, 1] values alike: "
                "the reference works only with its own example values"
            )
    return {spec.name: kinds[spec.name] for spec in received if spec.name in kinds}


def _groups(reference: Reference, specs: Sequence[InputSpec], examples: Tensors) -> Iterator[list[InputSpec]]:
    """Yield the tensors whose kind is found together, so that a deep network takes few runs.

    Parameters are one group where all of them take real numbers at once. Buffers of one name in many layers
    (`bn1.running_var`, `bn2.running_var`) are one where some kind suits them all; every other tensor is on its own.
    """
    parameters = [spec for spec in specs if spec.role is Role.PARAMETER]
    grouped: list[list[InputSpec]] = [[spec] for spec in specs if spec.role is Role.INPUT]
    if len(parameters) > 1 and _kind(reference, parameters, examples) is DomainKind.REAL:
        grouped.append(parameters)
    else:
        grouped += [[spec] for spec in parameters]
    layers: dict[str, list[InputSpec]] = {}
    for spec in specs:
        if spec.role is Role.BUFFER:
            layers.setdefault(spec.name.rpartition(".")[2], []).append(spec)
    for alike in layers.values():
        together = len(alike) > 1 and _kind(reference, alike, examples) is not None
        grouped += [alike] if together else [[spec] for spec in alike]
    yield from grouped


def draw(spec: InputSpec, generator: torch.Generator) -> torch.Tensor:
    """Draw plain values within the domain of `spec`: enough to see whether the reference runs."""
    return _drawn(torch.empty(spec.shape, dtype=getattr(torch, spec.dtype)), spec.domain, generator, spec.role)


def index_bound(reference: Reference, tensors: Tensors, name: str, seen: int) -> int | None:
    """Return the exclusive upper bound of the indices in `name` that run, None where there is none in sight.

    The search fills the whole tensor with one value and goes up to four times the largest size or value in sight, so
    that a reference without bound is not driven into huge allocations. `seen` is the largest value of the examples.
    """

    def runs(value: int) -> bool:
        return _results(reference, {**tensors, name: torch.full_like(tensors[name], value)}) is not None

    largest = max((size for tensor in tensors.values() for size in tensor.shape), default=1)
    limit = int(torch.iinfo(tensors[name].dtype).max)
    highest = min(_BOUND_FACTOR * max(largest, seen + 1), limit)
    if runs(highest):
        return None
    low, high = 0, highest  # `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if runs(middle) else (low, middle)
    return high


def _all_real_at_once(reference: Reference, specs: Sequence[InputSpec], examples: Tensors) -> bool:
    """Try real numbers in every tensor that could hold them: one run settles the usual case, however many there are."""
    generator = torch.Generator().manual_seed(_SEED)
    tensors = dict(examples)
    for spec in specs:
        kind = _stated_kind(spec, examples[spec.name]) or DomainKind.REAL
        if kind is not DomainKind.INDEX:
            tensors[spec.name] = _drawn(examples[spec.name], Domain(kind=kind), generator, spec.role)
    return _all_finite(_results(reference, tensors))


def _stated_kind(spec: InputSpec, example: torch.Tensor) -> DomainKind | None:
    """Return the kind that the element type and the example values tell, without running anything."""
    if example.dtype is torch.bool:
        return DomainKind.MASK
    if not spec.dtype.is_floating:
        return DomainKind.REAL if _least(example) < 0 else DomainKind.INDEX
    return DomainKind.MASK if example.numel() >= _FEW and _is_binary(example) else None


def _is_binary(example: torch.Tensor) -> bool:
    """Tell whether there are zeros, ones and nothing else; the first elements settle it for almost all tensors."""
    for part in (example.reshape(-1)[:64], example):
        zeros, ones = part == 0, part == 1
        if not bool((zeros | ones).all()):
            return False
    return bool(zeros.any()) and bool(ones.any())


def _kind(reference: Reference, group: Sequence[InputSpec], examples: Tensors) -> DomainKind | None:
    """Return the kind that suits all tensors of the group; None where there is none, or they state different ones."""
    stated = {_stated_kind(spec, examples[spec.name]) for spec in group}
    if len(stated) > 1:
        return None
    first, said = group[0], stated.pop()
    if said is not None:
        kept = first.role is Role.BUFFER and first.dtype.is_floating
        return None if kept and not _stays_finite(reference, examples, group, said) else said
    negative = first.role is Role.INPUT and _least(examples[first.name]) < 0
    if negative or not _all_finite(_results(reference, examples)):
        return DomainKind.REAL
    return next((kind for kind in _REAL_KINDS if _stays_finite(reference, examples, group, kind)), None)


def _stays_finite(reference: Reference, examples: Tensors, group: Sequence[InputSpec], kind: DomainKind) -> bool:
    generator = torch.Generator().manual_seed(_SEED)
    drawn = {spec.name: _drawn(examples[spec.name], Domain(kind=kind), generator, spec.role) for spec in group}
    tried: list[Tensors] = [drawn]
    if kind is DomainKind.REAL:  # a long product overflows: scale, not sign
        tried.append({name: values / 10 for name, values in drawn.items()})
    return any(_all_finite(_results(reference, {**examples, **values})) for values in tried)


def _read_buffers(reference: Reference, specs: Sequence[InputSpec], examples: Tensors) -> frozenset[str]:
    """Return the buffers that the op reads.

    A few are tried with other values each. In a network of many layers those that no operator is given are left out:
    a run for each would take longer than everything else.
    """
    names = [spec.name for spec in specs if spec.role is Role.BUFFER]
    if len(names) > _FEW:
        return reference.tensors_given(examples) & frozenset(names)
    return frozenset(name for name in names if _is_read(reference, examples, name))


def _is_read(reference: Reference, examples: Tensors, name: str) -> bool:
    """Tell whether other values of a buffer change the results."""
    buffer = examples[name]
    if buffer.is_floating_point():
        other = torch.full_like(buffer, torch.nan)
    else:
        other = ~buffer if buffer.dtype is torch.bool else buffer + 1
    before, after = _results(reference, examples), _results(reference, {**examples, name: other})
    if before is None or after is None:
        return True
    return not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _drawn(like: torch.Tensor, domain: Domain, generator: torch.Generator, role: Role) -> torch.Tensor:
    match domain.kind:
        case DomainKind.MASK:
            values = torch.randint(0, 2, like.shape, generator=generator)
        case DomainKind.INDEX:
            values = torch.randint(0, domain.high or 1, like.shape, generator=generator)
        case DomainKind.PROBABILITY:
            values = torch.rand(like.shape, generator=generator)
        case DomainKind.POSITIVE:
            values = 3 * torch.rand(like.shape, generator=generator) + 0.05
        case DomainKind.REAL:
            values = _scale(like, role) * torch.randn(like.shape, generator=generator)
            values.view(-1)[:1] = -2.0  # both signs even in a tensor of one element
    return values.to(like.dtype)


def _scale(like: torch.Tensor, role: Role) -> float:
    """Return the spread of real numbers: weights keep the size of what goes through them, however deep the network."""
    if role is Role.PARAMETER and like.dim() > 1:
        return math.sqrt(like.shape[0] / max(1, like.numel()))
    return 3.0


def _results(reference: Reference, tensors: Tensors) -> tuple[torch.Tensor, ...] | None:
    try:
        return reference.forward(tensors, Precision.NATIVE)
    except UserError:
        return None


def _all_finite(results: tuple[torch.Tensor, ...] | None) -> bool:
    return results is not None and all(bool(torch.isfinite(result).all()) for result in results)


def _least(tensor: torch.Tensor) -> float:
    return float(tensor.min()) if tensor.numel() else 0.0

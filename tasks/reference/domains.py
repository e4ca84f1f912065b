"""Finds the legal values of a reference's tensors by running it on values of several kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    received = [s for s in specs if s.role is not Role.BUFFER or _is_read(reference, examples, s.name)]
    if _all_real_at_once(reference, received, examples):
        return {spec.name: _stated_kind(spec, examples[spec.name]) or DomainKind.REAL for spec in received}
    kinds: dict[str, DomainKind] = {}
    for spec in received:
        kind = _kind(reference, spec, examples)
        if kind is not None:
            kinds[spec.name] = kind
        elif spec.role is not Role.BUFFER:
            raise UserError(
                f"'{spec.name}' gives NaN, infinity or an error for real, positive and [0, 1] values alike: "
                "the reference works only with its own example values"
            )
    return kinds


def draw(spec: InputSpec, generator: torch.Generator) -> torch.Tensor:
    """Draw plain values within the domain of `spec`: enough to see whether the reference runs."""
    return _drawn(torch.empty(spec.shape, dtype=getattr(torch, spec.dtype)), spec.domain, generator)


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
            tensors[spec.name] = _drawn(examples[spec.name], Domain(kind=kind), generator)
    return _all_finite(_results(reference, tensors))


def _stated_kind(spec: InputSpec, example: torch.Tensor) -> DomainKind | None:
    """Return the kind that the element type and the example values tell, without running anything."""
    if example.dtype is torch.bool:
        return DomainKind.MASK
    if not spec.dtype.is_floating:
        return DomainKind.REAL if _least(example) < 0 else DomainKind.INDEX
    if example.numel() >= _FEW and set(example.unique().tolist()) == {0, 1}:
        return DomainKind.MASK
    return None


def _kind(reference: Reference, spec: InputSpec, examples: Tensors) -> DomainKind | None:
    example = examples[spec.name]
    stated = _stated_kind(spec, example)
    if stated is not None:
        kept = spec.role is Role.BUFFER and spec.dtype.is_floating
        return None if kept and not _stays_finite(reference, examples, spec, stated) else stated
    if not _all_finite(_results(reference, examples)) or (spec.role is Role.INPUT and _least(example) < 0):
        return DomainKind.REAL
    return next((kind for kind in _REAL_KINDS if _stays_finite(reference, examples, spec, kind)), None)


def _stays_finite(reference: Reference, examples: Tensors, spec: InputSpec, kind: DomainKind) -> bool:
    values = _drawn(examples[spec.name], Domain(kind=kind), torch.Generator().manual_seed(_SEED))
    tried = [values, values / 10] if kind is DomainKind.REAL else [values]  # a long product overflows: scale, not sign
    return any(_all_finite(_results(reference, {**examples, spec.name: drawn})) for drawn in tried)


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


def _drawn(like: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
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
            values = 3 * torch.randn(like.shape, generator=generator)
            values.view(-1)[:1] = -2.0  # both signs even in a tensor of one element
    return values.to(like.dtype)


def _results(reference: Reference, tensors: Tensors) -> tuple[torch.Tensor, ...] | None:
    try:
        return reference.forward(tensors, Precision.NATIVE)
    except UserError:
        return None


def _all_finite(results: tuple[torch.Tensor, ...] | None) -> bool:
    return results is not None and all(bool(torch.isfinite(result).all()) for result in results)


def _least(tensor: torch.Tensor) -> float:
    return float(tensor.min()) if tensor.numel() else 0.0

"""What a result that is zero throughout is measured by: the size of what cancels in it.

The gradient of attention over a single key is exactly 0, as the difference of two equal products. A kernel that sums
these in two orders, as flash attention's backward does, is left with a rounding of them, and honestly so. The oracle is
0, its own rounding is 0, and on neighbouring inputs it is 0 again: neither says how large the products are. They are
made to show by a *scattered* run, in which every input and every operator's result is multiplied by a random number
between 1/2 and 3/2, so that nothing cancels any more. Zeros that no sum makes (a product with zeros, a ReLU of
negative numbers) stay zeros, and are held to the strictest limit as before.

Scattering is a coarse form of the random perturbations by which Monte Carlo arithmetic finds cancellations
(D. S. Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sandbox.values import Tensor
from tasks.domains import Domain, DomainKind
from tasks.errors import UserError
from tasks.values import Precision, Workload
from verifier.laboratory import ReferenceRunner
from verifier.tensors import from_array, to_float64
from verifier.tolerance import Spread

_RUNS: Final = 3
"""Scattered runs, of which the largest counts: a product can be near zero in one of them by chance."""


@dataclass(frozen=True, slots=True)
class Scattering:
    """The reference and one draw's values, to be run again scattered."""

    reference: ReferenceRunner
    workload: Workload
    tensors: Mapping[str, Tensor]
    gradients: Sequence[Tensor]
    rng: np.random.Generator
    """Gives the factors of the inputs; those of operators' results are always the same."""

    def outputs(self) -> tuple[Tensor, ...]:
        """Return what the reference gives, with other factors at each call; UserError when it fails on these values."""
        inputs = {spec.name: self._scattered(self.tensors[spec.name], spec.domain) for spec in self.workload.inputs}
        upstream = tuple(self._scattered(tensor, Domain()) for tensor in self.gradients)
        return self.reference.run(self.workload, inputs, Precision.SCATTERED, upstream).outputs

    def _scattered(self, tensor: Tensor, domain: Domain) -> Tensor:
        """Multiply every element by a factor of its own; other domains than the real numbers would be left by that."""
        if domain.kind is not DomainKind.REAL or not tensor.dtype.is_floating:
            return tensor
        return from_array(to_float64(tensor) * self.rng.uniform(0.5, 1.5, tensor.shape), tensor.dtype)


def with_terms(spreads: Sequence[Spread], scattering: Scattering) -> Sequence[Spread]:
    """Return the spreads of a draw's outputs, those that are zero throughout with the size of what cancels in them."""
    zero = [_is_zero(spread) for spread in spreads]
    sizes = np.zeros(len(spreads))
    for _ in range(_RUNS if any(zero) else 0):
        try:
            found = scattering.outputs()
        except UserError:  # led astray by its own numbers, such as an index that it computes: that says nothing
            break
        if len(found) != len(spreads):  # nor does what it does not return
            break
        sizes = np.maximum(sizes, np.where(zero, list(map(_largest, found)), 0.0))
        if not sizes.any():
            break
    return [replace(spread, terms=float(size)) for spread, size in zip(spreads, sizes, strict=True)]


def _is_zero(spread: Spread) -> bool:
    """Whether an output is zero in every element: in float64, natively and on neighbouring inputs."""
    known = (spread.oracle, spread.native, spread.nearby)
    return bool(spread.oracle.data) and spread.native.dtype.is_floating and not any(map(_has_content, known))


def _has_content(tensor: Tensor) -> bool:
    return bool(np.any(to_float64(tensor)))


def _largest(tensor: Tensor) -> float:
    values = np.abs(to_float64(tensor))
    return float(np.max(values, where=np.isfinite(values), initial=0.0))

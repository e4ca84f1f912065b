"""Values lie in their domain for every kind of input, and stay there when they move to their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.values import Domain, DomainKind, DType, InputSpec
from verifier.draws import _moved
from verifier.inputs import Distribution, draw_tensor
from verifier.seeds import stream
from verifier.tensors import to_array

DOMAINS = {
    DomainKind.BOUNDED: Domain(kind=DomainKind.BOUNDED, low=-1.5, high=0.25),
    DomainKind.INDEX: Domain(kind=DomainKind.INDEX, high=40),
    DomainKind.PERMUTATION: Domain(kind=DomainKind.PERMUTATION, high=40),
    DomainKind.LENGTHS: Domain(kind=DomainKind.LENGTHS, low=1, high=40),
    DomainKind.OFFSETS: Domain(kind=DomainKind.OFFSETS, high=40),
}
COUNTS = {DomainKind.INDEX, DomainKind.PERMUTATION, DomainKind.LENGTHS, DomainKind.OFFSETS}


def spec_of(kind: DomainKind, shape: tuple[int, ...]) -> InputSpec:
    dtype = DType.INT32 if kind in COUNTS else DType.FLOAT32
    return InputSpec(name="x", shape=shape, dtype=dtype, domain=DOMAINS.get(kind) or Domain(kind=kind))


def symmetric(x: np.ndarray) -> bool:
    return bool((x == x.swapaxes(-1, -2)).all())


RULES = {
    DomainKind.REAL: lambda _, x: np.isfinite(x).all(),
    DomainKind.POSITIVE: lambda _, x: (x > 0).all(),
    DomainKind.PROBABILITY: lambda _, x: ((x >= 0) & (x <= 1)).all(),
    DomainKind.BOUNDED: lambda d, x: ((x >= d.low) & (x <= d.high)).all(),
    DomainKind.SIMPLEX: lambda _, x: (x > 0).all() and np.allclose(x.sum(-1), 1, atol=1e-5),
    DomainKind.SORTED: lambda _, x: (np.diff(x, axis=-1) >= 0).all(),
    DomainKind.SYMMETRIC: lambda _, x: symmetric(x),
    DomainKind.POSITIVE_DEFINITE: lambda _, x: symmetric(x) and (np.linalg.eigvalsh(x.astype(float)) > 0).all(),
    DomainKind.INDEX: lambda d, x: ((x >= 0) & (x < d.high)).all(),
    DomainKind.PERMUTATION: lambda d, x: (
        ((x >= 0) & (x < d.high)).all() and (np.diff(np.sort(x, -1), axis=-1) > 0).all()
    ),
    DomainKind.LENGTHS: lambda d, x: ((x >= d.low) & (x <= d.high)).all(),
    DomainKind.OFFSETS: lambda d, x: (
        (x[..., 0] == 0).all()
        and (np.diff(x, axis=-1) >= 0).all()
        and (x.shape[-1] == 1 or (x[..., -1] == d.high).all())
    ),
    DomainKind.MASK: lambda _, x: np.isin(x, (0, 1)).all(),
    DomainKind.CAUSAL: lambda _, x: (x == np.tril(np.ones(x.shape), x.shape[-1] - x.shape[-2])).all(),
}


def within(domain: Domain, x: np.ndarray) -> bool:
    return bool(RULES[domain.kind](domain, x))


@given(
    st.sampled_from(list(DomainKind)),
    st.sampled_from([kind for kind in Distribution if kind is not Distribution.NOT_FINITE]),
    st.integers(1, 3),
    st.integers(1, 33),
    st.integers(0, 9),
)
def test_values_lie_in_their_domain_and_move_within_it(kind, distribution, rows, size, seed):
    spec = spec_of(kind, (rows, size, size))
    tensor = draw_tensor(spec, distribution, seed, "w")
    assert (tensor.dtype, tensor.shape) == (spec.dtype, spec.shape)
    assert within(spec.domain, to_array(tensor))
    moved = _moved(tensor, stream(seed, "moves"), spec.domain)
    assert within(spec.domain, to_array(moved))


@pytest.mark.parametrize("kind", [DomainKind.SORTED, DomainKind.OFFSETS, DomainKind.INDEX, DomainKind.SIMPLEX])
@pytest.mark.parametrize("shape", [(0,), (2, 0), (1,), (2,)])
def test_empty_and_tiny_rows_have_values_too(kind, shape):
    for distribution in Distribution:
        assert draw_tensor(spec_of(kind, shape), distribution, 1, "w").shape == shape


def test_segments_are_even_crowded_into_one_and_random_with_empty_ones():
    spec = spec_of(DomainKind.OFFSETS, (41,))
    even, crowded, usual = (
        np.diff(to_array(draw_tensor(spec, kind, 3, "w")))
        for kind in (Distribution.CONSTANT, Distribution.PEAKS, Distribution.NORMAL)
    )
    assert set(even) == {1}
    assert sorted(crowded)[-2:] == [0, 40]
    assert usual.min() == 0
    assert usual.max() > 1


def test_both_ends_of_a_range_occur():
    lengths = to_array(draw_tensor(spec_of(DomainKind.LENGTHS, (9,)), Distribution.NORMAL, 1, "w"))
    assert {1, 40} <= set(lengths)
    quantised = InputSpec(
        name="q", shape=(400,), dtype=DType.INT8, domain=Domain(kind=DomainKind.BOUNDED, low=-8, high=7)
    )
    assert set(to_array(draw_tensor(quantised, Distribution.NORMAL, 1, "w"))) == set(range(-8, 8))
    assert set(to_array(draw_tensor(quantised, Distribution.EXTREME, 1, "w"))) == {-8, 7}


def test_sorted_integers_below_a_bound_are_segment_numbers():
    domain = Domain(kind=DomainKind.SORTED, high=5)
    values = to_array(
        draw_tensor(InputSpec(name="s", shape=(60,), dtype=DType.INT64, domain=domain), Distribution.NORMAL, 2, "w")
    )
    assert (np.diff(values) >= 0).all()
    assert set(values) == set(range(5))

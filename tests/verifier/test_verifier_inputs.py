import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tasks.values import Domain, DomainKind, DType, InputSpec, Role
from verifier.inputs import FULL_SET, ROTATION, Distribution, draw_tensor
from verifier.seeds import derive
from verifier.tensors import (
    from_array,
    from_storage,
    neighbours,
    rounded,
    same_bits,
    storage,
    to_array,
    to_float64,
)

FLOATS = (DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)


def _spec(shape=(7, 300), dtype=DType.FLOAT32, kind=DomainKind.REAL, high=None, role=Role.INPUT) -> InputSpec:
    return InputSpec(name="x", shape=shape, dtype=dtype, domain=Domain(kind=kind, high=high), role=role)


def _values(spec: InputSpec, distribution=Distribution.NORMAL, seed=1) -> np.ndarray:
    return to_array(draw_tensor(spec, distribution, seed, "w"))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("distribution", [kind for kind in Distribution if kind is not Distribution.NOT_FINITE])
def test_every_distribution_gives_finite_values_of_the_type_and_shape(dtype, distribution):
    for shape in ((), (1,), (0, 3), (2, 3, 65)):
        tensor = draw_tensor(_spec(shape, dtype), distribution, 3, "w")
        assert tensor.dtype is dtype
        assert tensor.shape == shape
        assert np.isfinite(to_float64(tensor)).all()


def test_a_stream_depends_on_what_it_is_for_and_on_the_seed():
    spec = _spec()
    once = draw_tensor(spec, Distribution.NORMAL, 1, "w")
    assert same_bits(once, draw_tensor(spec, Distribution.NORMAL, 1, "w"))
    others = [
        draw_tensor(spec, Distribution.NORMAL, 2, "w"),
        draw_tensor(spec, Distribution.NORMAL, 1, "v"),
        draw_tensor(spec.model_copy(update={"name": "y"}), Distribution.NORMAL, 1, "w"),
    ]
    assert not any(same_bits(once, other) for other in others)
    assert derive(1, "ab", "c") != derive(1, "a", "bc")


def test_domains_are_respected():
    assert (_values(_spec(kind=DomainKind.POSITIVE), Distribution.NEGATIVE) > 0).all()
    probability = _values(_spec(kind=DomainKind.PROBABILITY), Distribution.LARGE)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert set(np.unique(_values(_spec(kind=DomainKind.MASK)))) == {0.0, 1.0}
    index = _values(_spec(dtype=DType.INT64, kind=DomainKind.INDEX, high=9))
    assert index.min() == 0
    assert index.max() == 8
    assert _values(_spec(dtype=DType.UINT8)).min() >= 0


def test_parameters_are_never_what_a_fresh_module_holds():
    for distribution in Distribution:
        vector = _values(_spec((64,), role=Role.PARAMETER), distribution)
        assert (np.abs(vector) >= 0.5).all()
        assert not np.isin(vector, (0.0, 1.0)).any()
        assert len(np.unique(vector)) > 60


def test_impulses_stand_at_the_edges_of_tiles_and_ends():
    x = _values(_spec((5, 300)), Distribution.IMPULSES)
    marked = set(np.flatnonzero(x[2]))
    assert {0, 31, 32, 63, 64, 127, 128, 255, 256, 299} <= marked
    assert len(marked) < 30
    assert (x[0] != 0).all()
    assert (x[-1] != 0).all()


def test_nan_and_both_infinities_stand_in_inputs_that_may_be_any_number():
    values = _values(_spec(), Distribution.NOT_FINITE)
    assert [np.isnan(values).sum(), np.isposinf(values).sum(), np.isneginf(values).sum()] == [1, 1, 1]
    half = _values(_spec(dtype=DType.FLOAT16), Distribution.NOT_FINITE)
    assert np.isinf(half).sum() == 2
    for other in (_spec(role=Role.PARAMETER), _spec(kind=DomainKind.POSITIVE), _spec(kind=DomainKind.SIMPLEX)):
        assert np.isfinite(_values(other, Distribution.NOT_FINITE)).all()


def test_the_kinds_of_input_overflow_exp_and_show_epsilons():
    assert np.abs(_values(_spec(), Distribution.WIDE)).max() > 89
    assert np.abs(_values(_spec(), Distribution.SMALL)).max() < 0.1
    assert all(Distribution.NORMAL in kinds for kinds in (*ROTATION, FULL_SET))


@given(npst.arrays(np.float32, npst.array_shapes(max_dims=3), elements=st.floats(width=32)))
def test_bfloat16_rounds_as_torch_does(values):
    ours = storage(from_array(values, DType.BFLOAT16)).view(np.int16)
    theirs = torch.from_numpy(values.copy()).to(torch.bfloat16).view(torch.int16).numpy()
    nan = np.isnan(values)
    assert (ours[~nan] == theirs[~nan]).all()
    assert np.isnan(to_array(from_array(values, DType.BFLOAT16))[nan]).all()


@pytest.mark.parametrize("dtype", list(DType))
def test_tensors_survive_the_way_to_arrays_and_back(dtype):
    tensor = draw_tensor(_spec(dtype=dtype), Distribution.NORMAL, 1, "w")
    assert same_bits(tensor, from_array(to_array(tensor), dtype))
    assert same_bits(tensor, from_storage(storage(tensor), dtype))


def test_rounding_to_a_type_overflows_to_infinity():
    assert rounded(np.array([1e39, -1e39, 1.0]), DType.FLOAT32).tolist() == [np.inf, -np.inf, 1.0]
    assert rounded(np.array([70000.0]), DType.FLOAT16).tolist() == [np.inf]


@given(
    st.sampled_from(FLOATS),
    npst.arrays(np.float64, npst.array_shapes(max_dims=2), elements=st.floats(allow_nan=True)),
)
def test_neighbours_are_one_step_away_and_keep_the_class(dtype, values):
    tensor = from_array(values, dtype)
    exact, up = to_float64(tensor), to_float64(neighbours(tensor, np.ones(values.shape, dtype=bool)))
    down = to_float64(neighbours(tensor, np.zeros(values.shape, dtype=bool)))
    assert (np.isfinite(exact) == np.isfinite(up)).all()
    exact, up, down = (np.where(np.isfinite(exact), values, 0.0) for values in (exact, up, down))
    moved = up != exact
    assert (np.abs(up[moved]) > np.abs(exact[moved])).all()
    assert (np.abs(down[moved]) < np.abs(exact[moved])).all()
    unit = {DType.FLOAT64: 2.0**-52, DType.FLOAT32: 2.0**-23, DType.FLOAT16: 2.0**-10, DType.BFLOAT16: 2.0**-7}[dtype]
    assert (np.abs(up - exact)[moved] <= unit * np.abs(exact[moved])).all()

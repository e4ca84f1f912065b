"""A result that is exactly zero is measured by what cancels in it, and by nothing where nothing does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.child.reference import from_torch, to_torch
from sandbox.values import ReferenceResult, Tensor
from tasks.domains import Domain, DomainKind
from tasks.errors import UserError
from tasks.reference import Reference
from tasks.values import DType, InputSpec, Precision, Purpose, ReferenceForm, Visibility, Workload
from verifier.cancellation import Scattering, with_terms
from verifier.tensors import LOWER_ROUNDOFF, UNIT_ROUNDOFF, from_array, to_array, to_float64
from verifier.tolerance import Bounds, Spread, calibrate, compare

ATTENTION = "return torch.softmax(q @ k.transpose(1, 2), dim=-1) @ v"


def _own(tensor: Tensor) -> torch.Tensor:
    return to_torch(replace(tensor, data=bytearray(tensor.data)))


def _reference(body: str, names: Sequence[str]) -> Reference:
    examples = ", ".join("torch.zeros(2, 2, 2)" for _ in names)
    source = f"import torch\ndef op({', '.join(names)}):\n    {body}\ndef get_inputs():\n    return [{examples}]\n"
    return Reference(source, ReferenceForm.FUNCTION, "op", {})


class Direct:
    """Runs a reference in this process."""

    def __init__(self, body: str, names: Sequence[str], gradients: Sequence[str] = ()) -> None:
        self._reference = _reference(body, names)
        self._gradients = gradients
        self.runs = 0

    def run(
        self,
        workload: Workload,  # noqa: ARG002 - the source reads sizes off its tensors
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        self.runs += 1
        given_tensors = {name: _own(tensor) for name, tensor in tensors.items()}
        if not self._gradients:
            return ReferenceResult(tuple(map(from_torch, self._reference.forward(given_tensors, precision))))
        upstream = [_own(tensor) for tensor in output_gradients]
        result = self._reference.backward(given_tensors, upstream, (), self._gradients, precision)
        return ReferenceResult(tuple(map(from_torch, result.gradients)))


def _spreads(reference: Direct, arrays: Mapping[str, np.ndarray], gradients: Sequence[np.ndarray] = ()) -> list[Spread]:
    tensors = {name: from_array(array, DType(str(array.dtype))) for name, array in arrays.items()}
    upstream = tuple(from_array(array, DType.FLOAT32) for array in gradients)
    inputs = tuple(
        InputSpec(name=n, shape=t.shape, dtype=t.dtype, domain=Domain(kind=DomainKind.REAL)) for n, t in tensors.items()
    )
    workload = Workload(name="w", axes={}, inputs=inputs, visibility=Visibility.PUBLIC, purpose=Purpose.VERIFY)
    order = (Precision.ORACLE, Precision.NATIVE, Precision.LOWER, Precision.ORACLE, Precision.TEXTBOOK)
    runs = [reference.run(workload, tensors, precision, upstream).outputs for precision in order]
    known = list(map(Spread, *runs))
    return list(with_terms(known, Scattering(reference, workload, tensors, upstream, np.random.default_rng(3))))


def _attention(width: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    q, k, v, grad = (rng.standard_normal((1, 1, width)).astype(np.float32) for _ in range(4))
    return {"q": q, "k": k, "v": v}, grad


@given(st.integers(1, 128), st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None)
def test_a_flash_backward_over_one_key_passes_and_one_without_its_product_fails(width, seed):
    arrays, grad = _attention(width, seed)
    by_queries = _spreads(Direct(ATTENTION, "qkv", ["q", "k", "v"]), arrays, [grad])[0]
    assert not to_float64(by_queries.oracle).any()
    expected = calibrate(by_queries)
    assert isinstance(expected, Bounds)
    upstream, values = grad.ravel(), arrays["v"].ravel()
    chain = np.cumsum(upstream * values, dtype=np.float32)[-1]
    product = np.cumsum((upstream * values)[::-1], dtype=np.float32)[-1]

    def judged(slope: np.ndarray) -> bool:
        return compare(from_array(slope.astype(np.float32) * arrays["k"], DType.FLOAT32), expected).passed

    assert judged(chain - product)
    lost = float(np.abs(chain)) * np.max(np.abs(arrays["k"]))
    if lost > 1e-3 * by_queries.terms:  # else it was next to nothing
        assert not judged(chain)


@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("return torch.relu(x)", -np.ones((3, 4))),
        ("return x @ x.t()", np.zeros((3, 4))),
        ("return torch.where(x > 0, x * 3 + 1, 0.0)", -np.ones((3, 4))),
    ],
)
def test_zeros_that_no_sum_makes_have_no_terms(body, x):
    reference = Direct(body, "x")
    (found,) = _spreads(reference, {"x": x.astype(np.float32)})
    assert found.terms == 0.0
    assert reference.runs == 6  # one scattered run is enough to know
    expected = calibrate(found)
    assert isinstance(expected, Bounds)
    assert not compare(from_array(np.full(expected.oracle.shape, 1e-30), DType.FLOAT32), expected).passed


def test_a_result_that_is_not_zero_is_not_run_again():
    reference = Direct("return x - x.mean()", "x")
    (found,) = _spreads(reference, {"x": np.arange(6, dtype=np.float32)})
    assert found.terms == 0.0
    assert reference.runs == 5


def test_only_outputs_that_are_zero_get_terms():
    reference = Direct("return x * 2, (x + 1) - x - 1", "x")
    doubled, nothing = _spreads(reference, {"x": np.arange(8, dtype=np.float32)})
    assert doubled.terms == 0.0
    assert 0.5 < nothing.terms < 50.0


def test_a_reference_that_scattering_leads_astray_keeps_the_strictest_limit():
    class Failing(Direct):
        def run(self, workload, tensors, precision, output_gradients=()):
            if precision is Precision.SCATTERED:
                raise UserError("index 5 is out of bounds")
            return super().run(workload, tensors, precision, output_gradients)

    (found,) = _spreads(Failing("return x - x * 1", "x"), {"x": np.array([7.0, 1.0], np.float32)})
    assert found.terms == 0.0


@given(st.sampled_from([DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16]), st.floats(1.0, 1e3))
@settings(max_examples=60, deadline=None)
def test_a_cancelled_zero_is_judged_in_units_of_its_terms(dtype, terms):
    zero, wide = from_array(np.zeros(5), dtype), from_array(np.zeros(5), DType.FLOAT64)
    expected = calibrate(Spread(wide, zero, zero, wide, zero, terms))
    assert isinstance(expected, Bounds)

    def passes(error: float) -> bool:
        return compare(from_array(np.full(5, error), dtype), expected).passed

    assert passes(2 * UNIT_ROUNDOFF[dtype] * terms)
    assert not passes(4 * LOWER_ROUNDOFF[dtype] * terms)
    assert to_array(zero).shape == expected.limit.shape


def test_scattering_breaks_a_cancellation_and_keeps_a_zero():
    reference = _reference("return x - x * 1, x * 0", "x")
    x = {"x": torch.rand(4, 4)}
    gone, kept = reference.forward(x, Precision.SCATTERED)
    assert gone.dtype is torch.float64
    assert gone.abs().max() > 0.01
    assert not kept.any()
    assert torch.equal(gone, reference.forward(x, Precision.SCATTERED)[0])

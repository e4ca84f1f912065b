"""Honest kernels pass and faulty ones fail, for each op of the library, simulated in NumPy."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.values import Tensor
from tasks.values import Direction, Domain, DomainKind, DType, InputSpec, Role, Tolerance
from verifier.fake import InMemoryLaboratory
from verifier.tensors import from_array, to_array, to_float64
from verifier.tolerance import Bounds, Exact, Spread, Unsuitable, calibrate, compare
from verifier.values import Status

Array = np.ndarray
Op = Callable[..., tuple[Array, ...]]
C = math.sqrt(2 / math.pi)


def _bf16(x: Array) -> Array:
    return to_array(from_array(x, DType.BFLOAT16)).astype(x.dtype)


def _tf32(x: Array) -> Array:
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)


def _chain(x: Array) -> Array:
    """Sum along the last axis in one long chain."""
    return np.cumsum(x, axis=-1, dtype=x.dtype)[..., -1:]


def _lanes(x: Array) -> Array:
    """Sum as a warp does: 32 strided chains, then a tree."""
    pad = -x.shape[-1] % 32
    lanes = np.concatenate([x, np.zeros((*x.shape[:-1], pad), x.dtype)], -1).reshape(*x.shape[:-1], -1, 32)
    total = np.cumsum(lanes, axis=-2, dtype=x.dtype)[..., -1, :]
    while total.shape[-1] > 1:
        half = total.shape[-1] // 2
        total = total[..., :half] + total[..., half:]
    return total


def _half(x: Array) -> Array:
    """Sum in float16."""
    return np.cumsum(x.astype(np.float16), axis=-1, dtype=np.float16)[..., -1:].astype(x.dtype)


def _no_last(x: Array) -> Array:
    return _lanes(x[..., :-1]) if x.shape[-1] > 1 else np.zeros_like(x)


def _pairwise(x: Array) -> Array:
    return x.sum(-1, keepdims=True)


SUMS = (_chain, _lanes, _pairwise, lambda x: _chain(x[..., ::-1]))


def relu(x):
    return (np.maximum(x, 0),)


def gelu(x, c=0.044715):
    return (x.dtype.type(0.5) * x * (1 + np.tanh(x.dtype.type(C) * (x + x.dtype.type(c) * x * x * x))),)


def gelu_by_exp(x):
    """tanh y = 1 - 2 / (1 + exp 2y), as fast kernels write it, with an exponential that errs by 2 ulp."""
    y = np.float32(C) * (x + np.float32(0.044715) * x * x * x)
    wiggle = np.where(np.arange(x.size).reshape(x.shape) % 2, 1 + 2.0**-22, 1 - 2.0**-22).astype(x.dtype)
    return (x * (1 - 1 / (1 + np.exp(2 * y) * wiggle)),)


def gelu_erf(x):
    return (np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()], x.dtype).reshape(x.shape),)


def softmax(x, total=_pairwise, peak=lambda x: x.max(-1, keepdims=True)):
    e = np.exp(x - peak(x))
    return (e / total(e),)


def softmax_online(x):
    """One pass with a running maximum and a rescaled sum."""
    top = np.full(x.shape[:-1], -np.inf, x.dtype)
    total = np.zeros(x.shape[:-1], x.dtype)
    for i in range(x.shape[-1]):
        new = np.maximum(top, x[..., i])
        total = total * np.exp(top - new) + np.exp(x[..., i] - new)
        top = new
    return (np.exp(x - top[..., None]) / total[..., None],)


def log_softmax(x, total=_pairwise, peak=lambda x: x.max(-1, keepdims=True)):
    top = peak(x)
    return (x - top - np.log(total(np.exp(x - top))),)


def layernorm(x, weight, bias, *, eps=1e-5, total=_pairwise, less=0):
    n = x.shape[-1]
    mean = total(x) / x.dtype.type(n)
    centred = x - mean
    variance = total(centred * centred) / x.dtype.type(max(n - less, 1))
    return (centred / np.sqrt(variance + x.dtype.type(eps)) * weight + bias,)


def layernorm_welford(x, weight, bias):
    mean = np.zeros(x.shape[:-1], x.dtype)
    m2 = np.zeros(x.shape[:-1], x.dtype)
    for i in range(x.shape[-1]):
        delta = x[..., i] - mean
        mean = mean + delta / x.dtype.type(i + 1)
        m2 = m2 + delta * (x[..., i] - mean)
    scale = 1 / np.sqrt(m2 / x.dtype.type(x.shape[-1]) + x.dtype.type(1e-5))
    return ((x - mean[..., None]) * scale[..., None] * weight + bias,)


def rmsnorm(x, weight, eps=1e-6, total=_pairwise):
    return (x / np.sqrt(total(x * x) / x.dtype.type(x.shape[-1]) + x.dtype.type(eps)) * weight,)


def matmul(a, b, total=None, cast=lambda x: x):
    if total is None:
        return (a @ b,)
    return (total(cast(a)[:, None, :] * cast(b).T[None, :, :])[..., 0],)


def linear_bias_gelu(x, weight, bias, *, activation=gelu, total=None, cast=lambda x: x):
    return activation(matmul(x, weight.T, total, cast)[0] + bias)


def rowsum(x, total=_pairwise):
    return (total(x)[..., 0],)


def cross_entropy(x, target, total=_pairwise, peak=lambda x: x.max(-1, keepdims=True), rows=slice(None)):
    (logs,) = log_softmax(x, total, peak)
    picked = -np.take_along_axis(logs, target[:, None], 1)[:, 0]
    return (np.asarray(total(picked[None, rows])[0, 0] / x.dtype.type(len(picked[rows]) or 1)),)


def residual_layernorm(x, residual, weight, bias, **options):
    return layernorm(x + residual, weight, bias, **options)


def softmax_backward(grad, output, total=_pairwise):
    return (output * (grad - total(grad * output)),)


def _spec(name: str, *shape: int, role: Role = Role.INPUT) -> InputSpec:
    return InputSpec(name=name, shape=shape, dtype=DType.FLOAT32, role=role)


def _x(rows, cols):
    return (_spec("x", rows, cols),)


def _norm(rows, cols):
    return (
        _spec("x", rows, cols),
        _spec("weight", cols, role=Role.PARAMETER),
        _spec("bias", cols, role=Role.PARAMETER),
    )


def _target(rows, cols):
    domain = Domain(kind=DomainKind.INDEX, high=cols)
    return (_spec("x", rows, cols), InputSpec(name="target", shape=(rows,), dtype=DType.INT64, domain=domain))


@dataclass(frozen=True)
class Case:
    """An op, its honest variants and its faults; each takes the candidate's arguments in order."""

    op: Op
    specs: Callable[[int, int], tuple[InputSpec, ...]]
    honest: Mapping[str, Op]
    faulty: Mapping[str, Op]
    sizes: tuple[tuple[int, int], ...] = ((8, 128), (5, 257), (3, 1000), (1, 31))
    backward: Op | None = None
    saved: tuple[str, ...] = field(default=())


def _with_sums(op: Op) -> dict[str, Op]:
    return {f"sum {i}": lambda *a, s=s: op(*a, total=s) for i, s in enumerate(SUMS)}


def _no_peak(x):
    return np.zeros_like(x[..., :1])


def _rounded_inputs(op: Op, cast=_bf16) -> Op:
    return lambda *a: op(*[cast(x) if x.dtype.kind == "f" else x for x in a])


def _tail(op: Op) -> Op:
    """The last row's last 5 elements are left as they were allocated."""

    def wrong(*arguments):
        (out,) = op(*arguments)
        out = out.copy()
        out.reshape(-1)[-5:] = 0
        return (out,)

    return wrong


def _strided(op: Op) -> Op:
    """Reads the first argument as if it lay column by column."""
    return lambda x, *rest: op(np.asfortranarray(x).ravel(order="F").reshape(x.shape).copy(), *rest)


CASES = {
    "relu": Case(
        relu,
        _x,
        {"branch": lambda x: (np.where(x > 0, x, np.float32(0)),)},
        {
            "identity": lambda x: (x,),
            "leaky": lambda x: (np.where(x > 0, x, np.float32(1e-3) * x),),
            "absolute": lambda x: (np.abs(x),),
            "tail": _tail(relu),
            "bfloat16": _rounded_inputs(relu),
        },
    ),
    "gelu": Case(
        gelu,
        _x,
        {"by exp": gelu_by_exp},
        {
            "constant": lambda x: gelu(x, 0.0447),
            "erf": gelu_erf,
            "bfloat16": _rounded_inputs(gelu),
            "float16": _rounded_inputs(gelu, lambda x: x.astype(np.float16).astype(np.float32)),
        },
    ),
    "softmax": Case(
        softmax,
        _x,
        {"online": softmax_online, **_with_sums(softmax)},
        {
            "no maximum": lambda x: softmax(x, peak=_no_peak),
            "maximum from 0": lambda x: softmax(x, peak=lambda x: np.maximum(x.max(-1, keepdims=True), 0)),
            "sum without the tail": lambda x: softmax(x, _no_last),
            "half": lambda x: softmax(x, _half),
            "tail": _tail(softmax),
            "stride": _strided(softmax),
            "bfloat16": _rounded_inputs(softmax),
        },
    ),
    "log_softmax": Case(
        log_softmax,
        _x,
        _with_sums(log_softmax),
        {
            "no maximum": lambda x: log_softmax(x, peak=_no_peak),
            "half": lambda x: log_softmax(x, _half),
            "sum without the tail": lambda x: log_softmax(x, _no_last),
            "softmax": softmax,
        },
    ),
    "layernorm": Case(
        layernorm,
        _norm,
        {"welford": layernorm_welford, **_with_sums(layernorm)},
        {
            "epsilon": lambda *a: layernorm(*a, eps=1e-6),
            "unbiased": lambda *a: layernorm(*a, less=1),
            "no bias": lambda x, w, b: layernorm(x, w, 0 * b),
            "no weight": lambda x, w, b: layernorm(x, 0 * w + 1, b),
            "half": lambda *a: layernorm(*a, total=_half),
            "mean without the tail": lambda *a: layernorm(*a, total=_no_last),
            "bfloat16": _rounded_inputs(layernorm),
        },
    ),
    "rmsnorm": Case(
        rmsnorm,
        lambda rows, cols: _norm(rows, cols)[:2],
        _with_sums(rmsnorm),
        {
            "epsilon": lambda *a: rmsnorm(*a, eps=1e-5),
            "half": lambda *a: rmsnorm(*a, total=_half),
            "no weight": lambda x, w: rmsnorm(x, 0 * w + 1),
            "centred": lambda x, w: layernorm(x, w, 0 * w, eps=1e-6),
        },
    ),
    "matmul": Case(
        matmul,
        lambda m, k: (_spec("a", m, k), _spec("b", k, 24)),
        {f"sum {i}": lambda a, b, s=s: matmul(a, b, s) for i, s in enumerate(SUMS)},
        {
            "tf32": lambda a, b: matmul(a, b, _lanes, _tf32),
            "half": lambda a, b: matmul(a, b, _half),
            "k tail": lambda a, b: matmul(a[:, :-1], b[:-1]),
            "bfloat16": _rounded_inputs(matmul),
            "stride": _strided(matmul),
        },
        sizes=((16, 64), (7, 129), (3, 1000), (1, 17)),
    ),
    "linear_bias_gelu": Case(
        linear_bias_gelu,
        lambda m, k: (_spec("x", m, k), _spec("w", 24, k, role=Role.PARAMETER), _spec("b", 24, role=Role.PARAMETER)),
        {f"sum {i}": lambda x, w, b, s=s: linear_bias_gelu(x, w, b, total=s) for i, s in enumerate(SUMS)}
        | {"by exp": lambda x, w, b: linear_bias_gelu(x, w, b, activation=gelu_by_exp, total=_lanes)},
        {
            "no bias": lambda x, w, b: linear_bias_gelu(x, w, 0 * b),
            "erf": lambda x, w, b: linear_bias_gelu(x, w, b, activation=gelu_erf),
            "relu": lambda x, w, b: linear_bias_gelu(x, w, b, activation=relu),
            "tf32": lambda x, w, b: linear_bias_gelu(x, w, b, total=_lanes, cast=_tf32),
            "k tail": lambda x, w, b: linear_bias_gelu(x[:, :-1], w[:, :-1], b),
        },
        sizes=((16, 64), (7, 129), (1, 17)),
    ),
    "rowsum": Case(
        rowsum,
        _x,
        _with_sums(rowsum),
        {
            "half": lambda x: rowsum(x, _half),
            "tail": lambda x: rowsum(x, _no_last),
            "bfloat16": _rounded_inputs(rowsum),
            "mean": lambda x: (x.mean(-1),),
        },
    ),
    "cross_entropy": Case(
        cross_entropy,
        _target,
        _with_sums(cross_entropy),
        {
            "no maximum": lambda *a: cross_entropy(*a, peak=_no_peak),
            "sum": lambda x, t: (cross_entropy(x, t)[0] * np.float32(len(t)),),
            "half the rows": lambda x, t: cross_entropy(x, t, rows=slice(0, None, 2)),
            "half": lambda *a: cross_entropy(*a, total=_half),
        },
        sizes=((16, 100), (5, 257), (33, 40)),
    ),
    "residual_layernorm": Case(
        residual_layernorm,
        lambda rows, cols: (_spec("x", rows, cols), _spec("residual", rows, cols), *_norm(rows, cols)[1:]),
        _with_sums(residual_layernorm),
        {
            "no residual": lambda x, _residual, w, b: layernorm(x, w, b),
            "epsilon": lambda *a: residual_layernorm(*a, eps=1e-6),
            "unbiased": lambda *a: residual_layernorm(*a, less=1),
        },
    ),
    "softmax_backward": Case(
        softmax,
        _x,
        _with_sums(softmax_backward),
        {
            "no product": lambda grad, output: (output * grad,),
            "half": lambda grad, output: softmax_backward(grad, output, _half),
            "sum without the tail": lambda grad, output: softmax_backward(grad, output, _no_last),
            "bfloat16": _rounded_inputs(softmax_backward),
        },
        backward=lambda arrays, grads: softmax_backward(grads[0], softmax(arrays["x"])[0]),
        saved=("output",),
    ),
}


def _judged(case: Case, kernel: Op, make_task, judge, seed=11):
    backward = {"direction": Direction.BACKWARD, "saved": case.saved, "gradients": ("x",)} if case.backward else {}
    task = make_task(case.specs, case.sizes, **backward)
    laboratory = InMemoryLaboratory(
        lambda arrays: case.op(*arrays.values()), lambda call: kernel(*call.arguments), backward=case.backward
    )
    return judge(task, laboratory, seed)


def _pairs(kind: str) -> Sequence[tuple[str, str]]:
    return [(name, variant) for name, case in CASES.items() for variant in getattr(case, kind)]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("name", "variant"), _pairs("honest"))
def test_an_honest_variant_passes(name, variant, seed, make_task, judge):
    verdict = _judged(CASES[name], CASES[name].honest[variant], make_task, judge, seed)
    assert verdict.status is Status.PASSED, verdict.checks[-1]


@pytest.mark.parametrize(("name", "variant"), _pairs("faulty"))
def test_a_fault_fails(name, variant, make_task, judge):
    verdict = _judged(CASES[name], CASES[name].faulty[variant], make_task, judge)
    assert verdict.status is Status.WRONG_VALUES, verdict.checks[-1]


def _spread(oracle, native, lower=None, nearby=None, dtype=DType.FLOAT32, *, textbook=None) -> Spread:
    wide = np.asarray(oracle, np.float64)
    native = from_array(np.asarray(native), dtype)
    return Spread(
        oracle=from_array(wide, DType.FLOAT64),
        native=native,
        lower=native if lower is None else from_array(np.asarray(lower), dtype),
        nearby=from_array(wide if nearby is None else np.asarray(nearby, np.float64), DType.FLOAT64),
        textbook=native if textbook is None else from_array(np.asarray(textbook), dtype),
    )


def _bounds(spread: Spread, override: Tolerance | None = None) -> Bounds:
    bounds = calibrate(spread, override)
    assert isinstance(bounds, Bounds)
    return bounds


def _f32(*values: float) -> Tensor:
    return from_array(np.array(values), DType.FLOAT32)


def test_nan_and_infinity_must_lie_exactly_where_the_oracle_has_them():
    oracle = [1.0, np.nan, np.inf, -np.inf]
    bounds = _bounds(_spread(oracle, oracle))
    assert compare(_f32(1.0, np.nan, np.inf, -np.inf), bounds).passed
    for wrong in (
        [np.nan] * 4,
        [1.0, 0.0, np.inf, -np.inf],
        [1.0, np.nan, -np.inf, -np.inf],
        [1.0, np.nan, 3e38, -np.inf],
    ):
        assert not compare(_f32(*wrong), bounds).passed


def test_a_float64_result_beyond_float32_is_expected_as_infinity():
    bounds = _bounds(_spread([1e39, 1.0], [np.inf, 1.0]))
    assert compare(_f32(np.inf, 1.0), bounds).passed
    assert not compare(_f32(3.4e38, 1.0), bounds).passed


def test_a_draw_on_which_the_reference_breaks_down_is_unsuitable():
    assert isinstance(calibrate(_spread([1.0, 2.0], [np.nan, 2.0])), Unsuitable)
    assert isinstance(calibrate(_spread([np.nan], [np.nan])), Unsuitable)
    assert isinstance(calibrate(_spread([1.0, 2.0], [1.1, 2.0])), Unsuitable)


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.01])
def test_a_usual_formula_that_loses_a_rounding_near_zero_is_honest(scale):
    x = np.random.default_rng(5).normal(0, scale, 20_000).astype(np.float32)
    exact = np.expm1(x.astype(np.float64))
    usual = np.exp(x) - np.float32(1)
    lower = from_array(exact, DType.BFLOAT16)
    given = (exact, exact.astype(np.float32), to_float64(lower))
    bounds = _bounds(_spread(*given, textbook=usual))
    assert compare(from_array(usual, DType.FLOAT32), bounds).passed
    assert not compare(from_array(usual, DType.FLOAT32), _bounds(_spread(*given))).passed
    assert not compare(from_array(to_float64(lower), DType.FLOAT32), bounds).passed
    assert not compare(from_array(x, DType.FLOAT32), bounds).passed


def test_a_usual_formula_gets_no_room_in_which_the_next_lower_precision_would_pass():
    x = np.random.default_rng(5).normal(0, 1e-6, 2000).astype(np.float32)
    exact = np.expm1(x.astype(np.float64))
    lower = to_float64(from_array(exact, DType.BFLOAT16))
    bounds = _bounds(_spread(exact, exact.astype(np.float32), lower, textbook=np.exp(x) - np.float32(1)))
    assert not compare(from_array(lower, DType.FLOAT32), bounds).passed


def test_a_usual_formula_may_overflow():
    oracle = np.array([1.0, 80.0, 100.0])
    bounds = _bounds(_spread(oracle, oracle, 1.01 * oracle, textbook=[1.0, 80.0, np.nan]))
    assert compare(_f32(*oracle), bounds).passed
    assert not compare(_f32(1.0, 80.0, 101.0), bounds).passed


def test_integers_are_compared_exactly_beyond_what_float64_holds():
    exact = from_array(np.array([2**60 + 1, -3]), DType.INT64)
    expected = calibrate(Spread(exact, exact, exact, exact, exact))
    assert isinstance(expected, Exact)
    assert compare(exact, expected).passed
    assert not compare(from_array(np.array([2**60, -3]), DType.INT64), expected).passed


def test_an_override_replaces_the_calibrated_limit():
    bounds = _bounds(_spread([1.0, 100.0], [1.0, 100.0]), Tolerance(atol=0.5, rtol=0.0))
    assert compare(_f32(1.4, 100.4), bounds).passed
    assert not compare(_f32(1.6, 100.0), bounds).passed


def test_one_outlier_in_a_thousand_may_exceed_the_limit_but_not_the_hard_cap():
    ones = np.ones(2000)
    bounds = _bounds(_spread(ones, ones))
    near, far, many = ones.copy(), ones.copy(), ones.copy()
    near[3] += 2 * bounds.limit[3]
    far[3] += 5 * bounds.limit[3]
    many[:5] += 2 * bounds.limit[:5]
    assert compare(from_array(near, DType.FLOAT32), bounds).passed
    assert not compare(from_array(far, DType.FLOAT32), bounds).passed
    assert not compare(from_array(many, DType.FLOAT32), bounds).passed


def test_empty_and_scalar_outputs_are_compared():
    empty = _bounds(_spread(np.zeros((0, 3)), np.zeros((0, 3))))
    assert compare(from_array(np.zeros((0, 3)), DType.FLOAT32), empty).passed
    scalar = _bounds(_spread(np.array(2.0), np.array(2.0)))
    assert compare(from_array(np.array(2.0), DType.FLOAT32), scalar).passed
    assert not compare(from_array(np.array(2.1), DType.FLOAT32), scalar).passed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), log_length=st.integers(0, 13), positive=st.booleans())
def test_any_order_of_summation_passes_and_16_bit_inputs_do_not(seed, log_length, positive):
    rng = np.random.default_rng(seed)
    x = rng.random((16, 2**log_length)) if positive else rng.standard_normal((16, 2**log_length))
    x = x.astype(np.float32)
    moved = np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(np.float32))
    wide = x.astype(np.float64).sum(-1)
    lower = _bf16(_pairwise(_bf16(x))[..., 0])
    bounds = _bounds(_spread(wide, _pairwise(x)[..., 0], lower, moved.astype(np.float64).sum(-1)))
    for total in SUMS:
        assert compare(from_array(total(x)[..., 0], DType.FLOAT32), bounds).passed
    shuffled = x[:, rng.permutation(x.shape[1])]
    assert compare(from_array(_chain(shuffled)[..., 0], DType.FLOAT32), bounds).passed
    assert not compare(from_array(lower, DType.FLOAT32), bounds).passed


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    k=st.sampled_from([64, 256, 1024]),
    dtype=st.sampled_from([DType.FLOAT16, DType.BFLOAT16]),
)
def test_16_bit_products_pass_with_float32_sums_and_fail_with_16_bit_sums(seed, k, dtype):
    rng = np.random.default_rng(seed)

    def narrow(x):
        return to_array(from_array(x, dtype)).astype(np.float64)

    a, b = narrow(rng.standard_normal((16, k))), narrow(rng.standard_normal((k, 64)))
    bits = {DType.FLOAT16: 8, DType.BFLOAT16: 4}[dtype]

    def coarse(x):
        significand, exponent = np.frexp(x)
        return np.ldexp(np.round(significand * 2.0**bits) / 2.0**bits, exponent)

    wide = a @ b
    bounds = _bounds(_spread(wide, narrow(wide), coarse(coarse(a) @ coarse(b)), dtype=dtype))
    chained = np.cumsum((a[:, None, :] * b.T[None]).astype(np.float32), -1, dtype=np.float32)[..., -1]
    assert compare(from_array(chained, dtype), bounds).passed
    total = np.zeros((16, 64))
    for i in range(k):
        total = narrow(total + a[:, i : i + 1] * b[i])
    assert not compare(from_array(total, dtype), bounds).passed

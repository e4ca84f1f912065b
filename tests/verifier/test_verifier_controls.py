import numpy as np
import pytest

from sandbox.values import Tensor
from tasks.errors import UserError
from tasks.values import DType, Tolerance
from verifier.controls import Control, ControlLedger
from verifier.tensors import from_array
from verifier.tolerance import Spread, calibrate


def _f32(values: np.ndarray) -> Tensor:
    return from_array(np.asarray(values), DType.FLOAT32)


def _observe(ledger: ControlLedger, x: np.ndarray, y: np.ndarray, lower: np.ndarray, override=None) -> None:
    native = _f32(y)
    wide = from_array(np.asarray(y, np.float64), DType.FLOAT64)
    expected = calibrate(Spread(wide, native, _f32(lower), wide, native), override)
    ledger.observe([_f32(x)], [native], [_f32(lower)], [expected])


def test_every_control_fails_on_an_ordinary_op():
    rng = np.random.default_rng(1)
    ledger = ControlLedger()
    for _ in range(2):
        x = rng.standard_normal((4, 9)).astype(np.float32)
        _observe(ledger, x, x * 2, x * np.float32(2.02))
    assert ledger.failed == set(Control)
    assert "zeros" in ledger.settle("op")


def test_a_constant_task_lets_controls_through_and_is_named():
    ledger = ControlLedger()
    for noise in (1e-6, 2e-6):
        y = np.full((4, 9), 1.0) + noise * np.arange(36).reshape(4, 9)
        _observe(ledger, y * 3, y, y * 1.3, Tolerance(atol=1e-2, rtol=0.0))
    assert Control.MEAN in ledger.undetected
    with pytest.raises(UserError, match="the oracle's mean everywhere"):
        ledger.settle("constant")


def test_identity_on_one_sided_inputs_is_found():
    ledger = ControlLedger()
    x = np.random.default_rng(1).random((4, 9)) + 0.1
    _observe(ledger, x, np.maximum(x, 0), x * 1.5)
    assert Control.INPUT in ledger.undetected


def test_a_control_that_is_the_right_result_accuses_nobody():
    ledger = ControlLedger()
    row = np.arange(1.0, 4.0)
    _observe(ledger, row, np.full(3, 2.0), np.full(3, 2.0))
    _observe(ledger, row, np.full(3, 4.0), np.full(3, 4.0))
    assert ledger.undetected == ()
    assert ledger.failed == {Control.ZEROS, Control.INPUT, Control.STALE}


def test_zeros_that_are_right_everywhere_are_found():
    ledger = ControlLedger()
    _observe(ledger, np.ones((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)))
    assert Control.ZEROS in ledger.undetected


def test_an_empty_output_says_nothing():
    ledger = ControlLedger()
    _observe(ledger, np.ones((0, 3)), np.zeros((0, 3)), np.zeros((0, 3)))
    assert ledger.undetected == ()


def test_the_lower_precision_is_no_control_under_a_stated_tolerance():
    ledger = ControlLedger(lower_matters=False)
    x = np.random.default_rng(1).standard_normal((4, 9))
    _observe(ledger, x, x * 2, x * 2.001, Tolerance(atol=1e-1, rtol=0.0))
    assert Control.LOWER not in ledger.undetected


def test_an_input_that_is_right_where_it_fits_and_fits_nowhere_else_accuses_nobody():
    """Pooling one element gives that element; at any other size the input has the wrong sizes, and fails by that."""
    ledger = ControlLedger()
    rng = np.random.default_rng(1)
    for _ in range(2):
        one = rng.standard_normal((1, 1))
        _observe(ledger, one, one, one * 1.5)
    assert Control.INPUT in ledger.undetected
    wide = rng.standard_normal((4, 6))
    _observe(ledger, wide, wide[:, ::2], wide[:, ::2] * 1.5)
    assert ledger.undetected == ()
    assert Control.INPUT in ledger.failed


def test_controls_that_no_draw_could_tell_are_named():
    ledger = ControlLedger()
    for value in (2.0, 3.0):
        _observe(ledger, np.full(4, value), np.full(1, value), np.full(1, value * 1.5))
    mentioned = ledger.settle("op").partition("; not tried")[2]
    assert f"{Control.MEAN}, {Control.SHIFTED}, {Control.REVERSED}" in mentioned
    assert str(Control.ZEROS) not in mentioned

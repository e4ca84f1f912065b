"""Index arithmetic: sizes, digits, addresses, and host expressions for sizes."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offline.graph import Graph, Node, OpKind, Size, UnsupportedOpError
from agent.offline.sizes import HostSizes
from agent.offline.terms import Digit, SplitNeededError, UnfusableError, merge, regroup, row_major
from tasks.values import DType

extents = st.lists(st.integers(2, 5), min_size=1, max_size=4)


def fixed(*values):
    return tuple(Size((value,)) for value in values)


def digits_of(sizes):
    return tuple(Digit(f"d{i}", Size((size,))) for i, size in enumerate(sizes))


def addresses(digits, steps):
    """Every address in row-major order of the digits."""
    strides = {step.digit: step.stride.values[0] for step in steps}
    for values in itertools.product(*(range(digit.extent.values[0]) for digit in digits)):
        yield sum(strides.get(digit.name, 0) * value for digit, value in zip(digits, values, strict=True))


@given(extents)
def test_a_dense_tensor_is_walked_in_order(sizes):
    digits = digits_of(sizes)
    steps = row_major(fixed(*sizes), [(digit,) for digit in digits], 1)
    assert list(addresses(digits, steps)) == list(range(math.prod(sizes)))


@given(extents, st.data())
def test_regrouping_keeps_the_order_of_elements(sizes, data):
    cut = data.draw(st.integers(0, len(sizes)))
    shape = [math.prod(sizes[:cut]), math.prod(sizes[cut:])]
    index = regroup(digits_of(sizes), fixed(*shape), 1)
    steps = row_major(fixed(*shape), index, 1)
    assert list(addresses(digits_of(sizes), steps)) == list(range(math.prod(sizes)))


@given(extents)
def test_digits_of_a_dense_tensor_merge_into_one(sizes):
    digits = digits_of(sizes)
    steps = row_major(fixed(*sizes), [(digit,) for digit in digits], 1)
    (merged,) = merge(digits, [steps])
    assert merged == Digit(digits[-1].name, Size((math.prod(sizes),)))


def test_a_broadcast_dimension_keeps_digits_apart():
    rows, columns = digits_of([3, 4])
    full = row_major(fixed(3, 4), [(rows,), (columns,)], 1)
    per_column = row_major(fixed(4), [(columns,)], 1)
    assert merge((rows, columns), [full, per_column]) == (rows, columns)


def test_a_dimension_that_ends_inside_a_digit_asks_for_a_split():
    with pytest.raises(SplitNeededError) as caught:
        regroup(digits_of([12]), fixed(3, 4), 1)
    assert (caught.value.outer, caught.value.inner) == fixed(3, 4)


def test_sizes_that_do_not_line_up_are_refused():
    with pytest.raises(UnfusableError):
        regroup(digits_of([6]), fixed(4), 1)


def graph_with(*shapes):
    nodes = {f"x{i}": Node(f"x{i}", OpKind.INPUT, "", (), shape, DType.FLOAT32) for i, shape in enumerate(shapes)}
    return Graph(2, nodes, tuple(nodes), ())


ROWS, COLUMNS = Size((6, 7)), Size((12, 130))
SIZES = HostSizes(graph_with((ROWS, COLUMNS), (COLUMNS,)))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (ROWS, "x0.size(0)"),
        (ROWS * COLUMNS, "x0.size(0) * x0.size(1)"),
        (ROWS * COLUMNS * COLUMNS, "x0.size(0) * x0.size(1) * x0.size(1)"),
        (Size((3, 3)), "3"),
        (Size((6, 65)), "x0.size(1) / 2"),
        (Size((24, 260)), "x0.size(1) * 2"),
    ],
)
def test_a_size_is_written_over_the_arguments(size, text):
    assert SIZES.text(size) == text


def test_a_size_from_nowhere_is_refused():
    with pytest.raises(UnsupportedOpError, match="cannot tell how a size"):
        SIZES.text(Size((5, 11)))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((12.0, 130.0), "static_cast<float>(x0.size(1))"),
        ((1 / 12, 1 / 130), "static_cast<float>(1.0 / (x0.size(1)))"),
        ((12**-0.5, 130**-0.5), "static_cast<float>(1.0 / std::sqrt(static_cast<double>(x0.size(1))))"),
        ((11.0, 129.0), "static_cast<float>((x0.size(1)) - 1)"),
    ],
)
def test_a_scalar_that_follows_from_a_size_is_written_over_it(values, text):
    assert SIZES.scalar(values, "float") == text


def test_a_scalar_from_nowhere_is_refused():
    with pytest.raises(UnsupportedOpError, match="cannot tell how the scalar"):
        SIZES.scalar((0.3, 0.7), "float")

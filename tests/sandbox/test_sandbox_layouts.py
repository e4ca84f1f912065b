"""Where a tensor's elements lie, set against NumPy's and PyTorch's own views."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.child.card import Card
from sandbox.layouts import Layout, dense_strides, differs, place
from sandbox.values import Tensor
from simgpu.specs import device_spec
from tasks.values import DType

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
LAYOUTS = st.sampled_from(Layout)


@given(SHAPES, LAYOUTS)
def test_every_element_has_a_place_of_its_own_within_the_buffer(shape, layout):
    placement = place(shape, layout)
    places = placement.offset + sum(
        (index * stride for index, stride in zip(np.indices(shape), placement.strides, strict=True)), np.int64(0)
    )
    flat = np.ravel(places) if 0 not in shape else np.empty(0, int)
    assert len(set(flat.tolist())) == flat.size
    assert not flat.size or (flat.min(), flat.max() + 1) == (placement.offset, placement.elements)


@given(SHAPES, LAYOUTS)
def test_a_tensor_comes_back_from_the_card_as_it_went(shape, layout):
    values = np.arange(np.prod(shape, dtype=int), dtype="f4").reshape(shape)
    card = Card(device_spec("h100"), 1 << 20)
    placed = card.put(Tensor(dtype=DType.FLOAT32, shape=shape, data=values.tobytes(), layout=layout), "x")
    assert bytes(card.read_back(placed).data) == values.tobytes()


@pytest.mark.parametrize(
    ("layout", "view"),
    [
        (Layout.DENSE, np.zeros((3, 4, 5))),
        (Layout.TRANSPOSED, np.zeros((3, 5, 4)).transpose(0, 2, 1)),
        (Layout.SLICED, np.zeros((3, 4, 8))[..., :5]),
        (Layout.STRIDED, np.zeros((3, 4, 10))[..., ::2]),
    ],
)
def test_strides_are_those_of_the_view_that_the_layout_names(layout, view):
    assert place((3, 4, 5), layout).strides == tuple(stride // view.itemsize for stride in view.strides)


def test_an_offset_tensor_is_dense_and_begins_behind_an_aligned_address():
    card = Card(device_spec("h100"), 1 << 20)
    placed = card.put(Tensor(dtype=DType.FLOAT32, shape=(4, 4), data=bytes(64), layout=Layout.OFFSET), "x")
    assert (placed.address - placed.allocation, placed.address % 16) == (4, 4)
    assert placed.strides == dense_strides((4, 4))
    allocation = card.memory.find(placed.address)
    assert allocation.end == placed.address + 64


def test_what_lies_between_the_elements_stays_unwritten():
    card = Card(device_spec("h100"), 1 << 20)
    untouched = bytes(card.memory.view(card.allocate(28, "other"), 4))
    placed = card.put(Tensor(dtype=DType.FLOAT32, shape=(4,), data=bytes(16), layout=Layout.STRIDED), "x")
    between = bytes(card.memory.view(placed.address, 28))
    assert between == (bytes(4) + untouched) * 3 + bytes(4)


@pytest.mark.parametrize(
    ("shape", "layout"), [((1, 7), Layout.TRANSPOSED), ((5,), Layout.SLICED), ((), Layout.STRIDED)]
)
def test_a_layout_that_changes_nothing_says_so(shape, layout):
    assert not differs(shape, layout)


@pytest.mark.parametrize("layout", [one for one in Layout if one is not Layout.DENSE])
def test_layouts_of_a_matrix_differ(layout):
    assert differs((3, 4), layout)

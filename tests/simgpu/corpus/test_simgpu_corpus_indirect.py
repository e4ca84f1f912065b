"""Calls through pointers."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, check

X = np.random.default_rng(1).integers(-99, 99, 101).astype(np.int32)
PLACE = np.arange(101, dtype=np.int32)
TABLE = np.choose(PLACE % 3, [X + PLACE, X - PLACE, X * PLACE])


def over(kernel, expected):
    return Case(kernel, (2,), (64,), (X, Out(expected.astype(np.int32)), np.int32(101)))


def test_a_module_with_a_table_of_functions_loads(corpus):
    check(over("direct_neighbor", X + PLACE + 1), corpus("indirect"))


@pytest.mark.parametrize(
    "case", [over("function_table", TABLE), over("virtual_methods", X * np.where(PLACE % 2, X, PLACE))], ids=str
)
def test_call_through_a_pointer(corpus, case):
    check(case, corpus("indirect"))

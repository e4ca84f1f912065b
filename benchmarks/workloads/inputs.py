"""The data of the five kernels, and what their results are held to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the five problems are."""

    elements: int = 1 << 22
    """Of the addition and the sum; a multiple of 1024."""
    rows: int = 256
    columns: int = 4096
    """Of the softmax; a power of two."""
    product: int = 512
    """Side of the matrices multiplied; a multiple of 64."""
    side: int = 2048
    """Side of the matrix transposed; a multiple of 32."""


FULL = Sizes()
TINY = Sizes(elements=1 << 12, rows=4, columns=512, product=64, side=64)
"""For a test that everything runs and agrees; its times say nothing."""
OUTPUTS = {"vadd": "c", "softmax": "y", "sgemm": "p", "reduce": "t", "transpose": "b"}
"""The array that each kernel writes."""
_TOLERANCES = {"vadd": 0.0, "softmax": 1e-5, "sgemm": 1e-4, "reduce": 1e-3, "transpose": 0.0}
"""Relative. Orders of summation differ, and so do exponentials; a float32 sum of millions in order is off by itself."""


class WrongResultError(Exception):
    """What was to be timed computes something else than the native code."""


def arrays(sizes: Sizes) -> dict[str, np.ndarray]:
    """Return the kernels' data by name; outputs are not a number until they are written, the total is zero."""
    generator = np.random.default_rng(0)
    n = max(sizes.elements, sizes.side**2)
    inputs = {"a": n, "q": n, "x": sizes.rows * sizes.columns, "l": sizes.product**2, "r": sizes.product**2}
    outputs = {"b": n, "c": n, "y": sizes.rows * sizes.columns, "p": sizes.product**2}
    return (
        {name: generator.random(size, np.float32) for name, size in inputs.items()}
        | {name: np.full(size, np.nan, np.float32) for name, size in outputs.items()}
        | {"t": np.zeros(1, np.float32)}
    )


def check(kernel: str, got: np.ndarray, native: np.ndarray, what: str) -> None:
    """Compare one kernel's output with the native code's, bit for bit where nothing is rounded twice.

    Raises
    ------
    WrongResultError
        They differ by more than the kernel's tolerance.
    """
    wrong = np.flatnonzero(~np.isclose(got, native, _TOLERANCES[kernel], 0.0))
    if len(wrong):
        first = wrong[0]
        raise WrongResultError(f"{kernel} by {what}: [{first}] is {got[first]}, native code has {native[first]}")

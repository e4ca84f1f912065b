"""PTX that Triton 3.4 emitted for sm_80 (kernels of our own), with its debug sections and pipelined copies."""

from pathlib import Path

import numpy as np
import pytest

from simgpu import load_module

DATA = Path(__file__).parent / "data"


def test_row_softmax(card):
    x = np.random.default_rng(0).standard_normal((5, 1000), np.float32)
    out = card.put(np.zeros_like(x))
    module = load_module((DATA / "triton_softmax.ptx").read_text())
    report = card.run(module, "softmax_k", (5,), (128,), card.put(x), out, np.int32(1000), 0, shared=16)
    assert report.ok, report.diagnostics
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert np.abs(card.get(out, x) / (e / e.sum(1, keepdims=True)) - 1).max() < 1e-5


@pytest.mark.parametrize("size", [64, 100])
def test_half_precision_product_on_tensor_cores(card, size):
    a, b = np.random.default_rng(size).standard_normal((2, size, size)).astype(np.float16)
    out = card.put(np.zeros_like(a))
    n = np.int32(size)
    module = load_module((DATA / "triton_matmul.ptx").read_text())
    tiles = -(-size // 64)
    report = card.run(
        module,
        "matmul_k",
        (tiles, tiles),
        (128,),
        card.put(a),
        card.put(b),
        out,
        n,
        n,
        n,
        0,
        shared=32768,
        counters=True,
    )
    assert report.ok, report.diagnostics
    exact = a.astype(np.float64) @ b
    assert np.abs(card.get(out, a).astype(np.float64) - exact).max() <= 2.0**-11 * np.abs(exact).max() + 1e-2
    assert report.counters.instructions["tensor"] > 0

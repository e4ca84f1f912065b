"""The same command on a real GPU: verified there, timed there, and said so."""

import pytest

from sandbox.devices import find_gpus

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_gpus(), reason="there is no GPU")]


def test_an_op_becomes_a_kernel_that_is_measured_on_the_card(kernelwright):
    ending = kernelwright(
        "optimize", "softmax", "--model", "offline", "--device", "cuda:0", "--samples", 2, "--generations", 1, "--json"
    )  # fmt: skip
    assert ending.code == 0, ending.err
    best = ending.json()["best"]
    assert best["verdict"]["status"] == "passed"
    measurement = best["measurement"]
    assert measurement["basis"] == "measured"
    low, high = measurement["speedup_interval"]
    assert 0 < low <= measurement["speedup"] <= high
    assert all(len(timing["samples_us"]) >= 20 for timing in measurement["timings"])

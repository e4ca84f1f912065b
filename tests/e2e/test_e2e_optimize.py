"""One command from an op to a verified kernel, for tasks of every kind that the offline proposer translates."""

import pytest

# In every run of the tests: a row and a product.
SHORT = {"softmax", "matmul"}
LONG = {
    "cross_entropy",
    "gelu_tanh",
    "layernorm",
    "linear_bias_gelu",
    "log_softmax",
    "relu",
    "residual_layernorm",
    "rmsnorm",
    "row_sum",
    "softmax_backward",
}
SLUGS = [slug if slug in SHORT else pytest.param(slug, marks=pytest.mark.corpus) for slug in sorted(SHORT | LONG)]


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_the_offline_proposer_gives_a_passed_kernel(kernelwright, slug):
    ending = kernelwright(
        "optimize",
        slug,
        "--model",
        "offline",
        "--device",
        "sim:h100",
        "--samples",
        1,
        "--generations",
        0,
        "--seed",
        7,
        "--json",
    )
    assert ending.code == 0, ending.err
    best = ending.json()["best"]
    assert best["verdict"]["status"] == "passed"
    assert best["measurement"]["basis"] == "modelled"
    assert best["measurement"]["speedup"] > 0


@pytest.mark.slow
def test_the_example_beats_eager_and_its_run_can_be_looked_at(kernelwright):
    ending = kernelwright(
        "optimize", "examples/softmax.py", "--device", "sim:h100", "--samples", 1, "--generations", 0, "--seed", 1, "--json"
    )  # fmt: skip
    assert ending.code == 0, ending.err
    report = ending.json()
    assert report["best"]["measurement"]["speedup"] > 1
    shown = kernelwright("runs", "show", report["run"]["id"])
    assert shown.code == 0, shown.err
    assert "modelled" in shown.out
    assert "measured" not in shown.out
    assert "kernelwright kernels show" in shown.out

"""One command from an op to a verified kernel, for every task of the library."""

import pytest

from tasks.loading import library

SLUGS = sorted(task.slug for task in library())


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
def test_the_example_beats_eager(kernelwright):
    ending = kernelwright(
        "optimize",
        "examples/softmax.py",
        "--device",
        "sim:h100",
        "--samples",
        2,
        "--generations",
        1,
        "--population",
        2,
        "--seed",
        1,
    )
    assert ending.code == 0, ending.err
    assert "modelled" in ending.out
    assert "measured" not in ending.out
    assert "kernelwright kernels show" in ending.out

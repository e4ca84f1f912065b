"""Whether a result depends on the order in which warps and blocks run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

DEFAULT_SEEDS = (1, 2, 3)


def find_dependence(run: Callable[[int | None], bytes], seeds: Sequence[int] = DEFAULT_SEEDS) -> int | None:
    """Return the first schedule seed whose result is not, bit for bit, that of the ascending order; None if none is.

    A dependence is not always a fault: sums by floating-point atomics depend on the order and are right all the same.
    None proves nothing about orders that were not tried.

    Parameters
    ----------
    run
        Runs the program afresh, from the same inputs, with `LaunchOptions.schedule_seed` as given, and returns its
        outputs' bytes.
    seeds
        The orders to try beside the ascending one.
    """
    expected = run(None)
    return next((seed for seed in seeds if run(seed) != expected), None)

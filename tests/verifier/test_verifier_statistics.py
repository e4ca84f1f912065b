import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.statistics import TimedPair, speedup_interval

TIMES = st.lists(st.floats(0.5, 1e6), min_size=1, max_size=30).map(tuple)
PAIRS = st.lists(st.builds(TimedPair, TIMES, TIMES, st.floats(0.1, 10)), min_size=1, max_size=4)


@given(PAIRS)
def test_an_interval_lies_between_the_extremes_of_the_samples(pairs):
    low, high = speedup_interval(pairs, np.random.default_rng(0))
    total = sum(pair.weight for pair in pairs)

    def mean(ratio) -> float:
        return math.exp(sum(pair.weight / total * math.log(ratio(pair)) for pair in pairs))

    least = mean(lambda pair: min(pair.baseline_us) / max(pair.candidate_us))
    most = mean(lambda pair: max(pair.baseline_us) / min(pair.candidate_us))
    assert least * (1 - 1e-9) <= low <= high <= most * (1 + 1e-9)


@given(TIMES, TIMES, st.floats(0.01, 100))
def test_a_baseline_that_takes_k_times_as_long_moves_the_interval_by_k(mine, eager, k):
    def interval(baseline):
        return speedup_interval([TimedPair(mine, baseline, 1.0)], np.random.default_rng(3))

    scaled = interval(tuple(k * time for time in eager))
    assert scaled == pytest.approx([k * bound for bound in interval(eager)])


def test_it_holds_the_truth_as_often_as_it_says():
    held, trials, truth = 0, 200, 2.0
    rng = np.random.default_rng(11)
    for _ in range(trials):
        mine = tuple(rng.normal(10, 1, 100))
        eager = tuple(rng.normal(20, 2, 100))
        low, high = speedup_interval([TimedPair(mine, eager, 1.0)], rng)
        held += low <= truth <= high
    # Four standard deviations of a binomial of 0.95 over 200 trials are 12; the bootstrap of a median is a little wide.
    assert held >= 0.95 * trials - 12


def test_equal_samples_leave_no_doubt():
    low, high = speedup_interval([TimedPair((5.0,) * 9, (10.0,) * 9, 1.0)], np.random.default_rng(0))
    assert low == high == pytest.approx(2.0)

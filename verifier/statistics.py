"""Statistics of measured times: how sure a speed-up is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000
"""Enough for the 2.5% tails to be stable to about a twentieth of the interval's width."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class TimedPair:
    """What was measured at one workload."""

    candidate_us: tuple[float, ...]
    """Samples of the candidate."""
    baseline_us: tuple[float, ...]
    """Samples of the baseline."""
    weight: float
    """The workload's."""


def speedup_interval(pairs: Sequence[TimedPair], rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95% confidence interval of the weighted geometric mean of the ratios of medians, by the bootstrap.

    Every resample draws each side's samples anew with replacement (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, the percentile interval). It speaks of the samples' scatter within this measurement, not of what
    another day or another card would give.

    Parameters
    ----------
    pairs
        One per workload, each side with one sample at least.
    rng
        What resamples are drawn with.
    """
    total = sum(pair.weight for pair in pairs)
    logs = sum(
        pair.weight
        / total
        * (_resampled_log_medians(pair.baseline_us, rng) - _resampled_log_medians(pair.candidate_us, rng))
        for pair in pairs
    )
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.exp(np.quantile(logs, (tail, 1 - tail)))
    return float(low), float(high)


def _resampled_log_medians(samples: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    values = np.asarray(samples)
    logs: np.ndarray = np.log(np.median(rng.choice(values, (_RESAMPLES, len(values))), axis=1))
    return logs

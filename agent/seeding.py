"""Seeds by hashing: the same path gives the same number, in whatever order the numbers are asked for."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a 63-bit seed for one random choice of a run.

    A hash rather than a shared generator: slot 3 of generation 2 gets the same seed whether its neighbours were
    asked for before it, at the same time, or in an earlier process. SHA-256 also hides the run's seed, from which
    the verifier's secret seeds derive, from whoever sees a derived one.

    Parameters
    ----------
    seed
        The run's seed.
    path
        What the choice is for, from the general to the particular: `"propose", generation, slot`.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

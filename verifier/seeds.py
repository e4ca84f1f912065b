"""Independent random streams from one secret seed: a stream depends on what it is for, never on the order of use."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *purpose: str) -> int:
    """Return a 64-bit seed for one purpose, for instance `derive(seed, "inputs", workload, tensor)`.

    SHA-256 over the parts, each with its length, so that no two purposes share a stream by chance and one
    stream says nothing about another.
    """
    digest = hashlib.sha256(str(seed).encode())
    for part in purpose:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest()[:8], "little")


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return NumPy's generator for one purpose."""
    return np.random.default_rng(derive(seed, *purpose))

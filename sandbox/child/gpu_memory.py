"""What a real GPU's free memory holds before a call: nothing that could pass for a result."""

from __future__ import annotations

from contextlib import suppress

import torch
from cuda.bindings import driver

from sandbox.child.gpu_driver import checked

_POISON = 0xFF
"""NaN in every floating type, -1 in the integers."""
_POOLS = (1 << 19, 1 << 20, 1 << 23, 1 << 25)
"""Sizes in bytes from each range that PyTorch's allocator keeps apart: it splits what it has kept of a range."""


def poison_free_memory(nbytes: int) -> None:
    """Overwrite what PyTorch's allocator has free, having made sure that it has some.

    Parameters
    ----------
    nbytes
        A guess of what the call will allocate.
    """
    with suppress(torch.cuda.OutOfMemoryError):
        kept = [torch.empty(size, dtype=torch.uint8, device="cuda") for size in (*_POOLS, max(nbytes, 1))]
        del kept
    stream = torch.cuda.current_stream().cuda_stream
    for segment in torch.cuda.memory_snapshot():
        for block in segment["blocks"]:
            if block["state"] == "inactive":
                checked(driver.cuMemsetD8Async(block["address"], _POISON, block["size"], stream))

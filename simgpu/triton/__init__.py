"""Runs Triton kernels on the simulated GPU: `kernel[grid](...)` on CPU tensors, without a GPU or a CUDA driver.

```python
from simgpu.triton import install

with install("h100") as card:
    kernel[grid](x, y, n, BLOCK=1024)
    print(card.launches[-1])
```

Needs `triton`, which is an optional dependency.
"""

from simgpu.triton.card import KernelFaultError, TritonCard
from simgpu.triton.driver import SimulatedDriver, install

__all__ = ["KernelFaultError", "SimulatedDriver", "TritonCard", "install"]

"""What runs beside the compiled kernels: fibers, the block scheduler, address checks, counters."""

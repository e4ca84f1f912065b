"""The offline proposer: writes CUDA kernels from the traced op, without a model (docs/offline-proposer.md)."""

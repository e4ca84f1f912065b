"""Verifier: the oracle, the checks, the verdict and the benchmark. It never loads untrusted code."""

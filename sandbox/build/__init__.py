"""Makes candidates loadable: compiled once per content, kept in a cache that processes share."""

from sandbox.build.builder import build
from sandbox.build.program import compile_program

__all__ = ["build", "compile_program"]

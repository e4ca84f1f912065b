"""Makes candidates loadable: compiled once per content, kept in a cache that processes share."""

from sandbox.build.builder import build, compile_program

__all__ = ["build", "compile_program"]

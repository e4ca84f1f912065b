"""Holding untrusted processes in containers of a Docker daemon on this machine."""

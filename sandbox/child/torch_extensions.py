"""PyTorch's builder of extensions, and what takes its place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any


def replace_builder(*, load: Callable[..., Any], load_inline: Callable[..., Any]) -> None:
    """Make PyTorch's functions of these names the given ones.

    A PyTorch with CUDA warns while that module is imported, where it finds a CUDA toolkit and no card. Nobody here is
    about to use the two.
    """
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    from torch.utils import cpp_extension  # noqa: PLC0415 -- quietly

    logger.setLevel(level)
    cpp_extension.load, cpp_extension.load_inline = load, load_inline

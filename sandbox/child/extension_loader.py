"""`torch.utils.cpp_extension.load_inline` and `load` as a candidate may call them.

The sources go to the parent, which builds them like any CUDA candidate; what is called is the shared object that comes
back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sandbox.child.link import ParentLink
from sandbox.child.torch_extensions import replace_builder
from sandbox.evidence import ExtensionRequest

_CUDA_RUNTIME = "-lcudart"
_BOUND = re.compile(r'\.\s*def\s*\(\s*"(\w+)"')


class ExtensionLoader:
    """PyTorch's two functions.

    Parameters
    ----------
    link
        Has extensions built.
    callable_of
        Makes the Python function of one host function of a shared object.
    """

    def __init__(self, link: ParentLink, callable_of: Callable[[Path, str], Callable[..., Any]]) -> None:
        self._link = link
        self._callable_of = callable_of
        self._loaded: dict[ExtensionRequest, SimpleNamespace] = {}

    def take_over(self) -> None:
        """Make PyTorch's functions these."""
        replace_builder(load=self.load, load_inline=self.load_inline)

    def load_inline(  # noqa: PLR0917 -- PyTorch's own signature
        self,
        name: str,
        cpp_sources: str | Sequence[str] = (),
        cuda_sources: str | Sequence[str] = (),
        functions: str | Sequence[str] | dict[str, str] | None = None,
        extra_cflags: Sequence[str] | None = None,
        extra_cuda_cflags: Sequence[str] | None = None,
        extra_ldflags: Sequence[str] | None = None,
        **others: object,
    ) -> SimpleNamespace:
        """Build sources given as text (PyTorch's function of this name, for a simulated card)."""
        del extra_cflags  # they speak of the host compiler's speed and warnings
        refuse_options(extra_ldflags, others)
        source = "\n".join((*_texts(cuda_sources), *_texts(cpp_sources)))
        named = _texts(functions or ()) if not isinstance(functions, dict) else tuple(functions)
        return self._extension(name, source, named, extra_cuda_cflags)

    def load(
        self,
        name: str,
        sources: str | Sequence[str],
        extra_cflags: Sequence[str] | None = None,
        extra_cuda_cflags: Sequence[str] | None = None,
        extra_ldflags: Sequence[str] | None = None,
        **others: object,
    ) -> SimpleNamespace:
        """Build source files that the candidate wrote (PyTorch's function of this name, for a simulated card)."""
        del extra_cflags
        refuse_options(extra_ldflags, others)
        texts = [Path(path).read_text(encoding="utf-8") for path in _texts(sources)]
        return self._extension(name, "\n".join(texts), (), extra_cuda_cflags)

    def _extension(
        self, name: str, source: str, functions: tuple[str, ...], flags: Sequence[str] | None
    ) -> SimpleNamespace:
        functions = functions or tuple(dict.fromkeys(_BOUND.findall(source)))
        if not functions:
            raise RuntimeError(f"the extension '{name}' names no functions and binds none by PYBIND11_MODULE")
        request = ExtensionRequest(name=name, source=source, functions=functions, flags=_flags(flags))
        if request not in self._loaded:
            library = self._link.extension(request)
            made = {function: self._callable_of(library, function) for function in functions}
            self._loaded[request] = SimpleNamespace(__name__=name, **made)
        return self._loaded[request]


_IGNORED = frozenset({"verbose", "with_cuda", "build_directory", "is_python_module", "keep_intermediates", "use_pch"})
"""Options of PyTorch's functions that say where and how talkatively it builds, not what."""


def refuse_options(ldflags: Sequence[str] | None, others: dict[str, object]) -> None:
    """Refuse what would bring in other code than the candidate's own sources.

    Raises
    ------
    RuntimeError
        Linker flags, include paths, or an option that is not known.
    """
    foreign = [flag for flag in _flags(ldflags) if flag != _CUDA_RUNTIME and not flag.startswith("-L")]
    if foreign:
        raise RuntimeError(f"linker flags are not taken ({' '.join(foreign)}): kernels link against nothing but CUDA")
    for option, value in others.items():
        if option not in _IGNORED and value:
            raise RuntimeError(f"load_inline's option `{option}` is not supported here")


def _flags(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return compiler or linker flags without the empty ones, which many examples give."""
    return tuple(flag for flag in map(str.strip, given or ()) if flag)


def _texts(values: str | Sequence[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)

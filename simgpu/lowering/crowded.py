"""Checked accesses of kernels that have many: calls of functions that all accesses of the same form share.

Generated in place, the checks of one access are some ninety instructions, and a kernel with hundreds of accesses would
take seconds to compile. A call costs a little at run time: vectors that live across it are spilled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from simgpu.codegen.context import FULL, Context
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.access import Access, find_window

_Load = Callable[[Context, Access], list[Value]]
_Store = Callable[[Context, Access, Sequence[Value]], None]


def load_by_call(c: Context, access: Access, load: _Load) -> list[Value]:
    """Load by a call of what `load` generates."""
    lanes = 1 if access.address.lanes == 1 else WARP
    results = [constant(access.element, 0, lanes)] * access.count
    form = _Form(c, access)
    return c.outlined(form.name("load"), results, form.inputs, lambda inputs: load(c, form.access_of(inputs)))


def store_by_call(c: Context, access: Access, values: Sequence[Value], store: _Store) -> None:
    """Store by a call of what `store` generates."""
    form = _Form(c, access)

    def body(inputs: Sequence[Value]) -> Sequence[Value]:
        store(c, form.access_of(inputs), inputs[len(form.inputs) :])
        return ()

    kinds = ".".join(str(value.lanes) for value in values)
    c.outlined(f"{form.name('store')}.{kinds}", (), (*form.inputs, *values), body)


class _Form:
    """What accesses must have in common to share code, and what is handed over for each of them."""

    def __init__(self, c: Context, access: Access) -> None:
        shape = access.shape
        if shape is not None:
            # Only whether the address is aligned matters, not where it lies.
            shape = replace(shape, base=None, align=math.gcd(shape.align, access.size))
        self._c, self._whole = c, c.full
        self._access = replace(access, shape=shape)
        window = None if shape is None or shape.wrapped else find_window(c, access)
        self._pattern = () if window is None else window.offsets
        self.inputs = (access.site_number, access.address if window is None else window.first, c.bits())

    def name(self, verb: str) -> str:
        """Return the name of the function that does it."""
        access = self._access
        form = (
            access.space, access.element, access.count, access.shape, access.address.lanes, access.wide, access.action,
            self._whole,
        )  # fmt: skip
        return f"{verb}.{hashlib.sha256(repr(form).encode()).hexdigest()[:16]}"

    def access_of(self, inputs: Sequence[Value]) -> Access:
        """Return the access within the function, and set its mask."""
        site, address, running = inputs[:3]
        self._c.mask = FULL if self._whole else self._c.vector_mask(running)
        if self._pattern:
            address = self._c.e.binary("add", address, pattern("i64", self._pattern))
        return replace(self._access, address=address, given_site=site)

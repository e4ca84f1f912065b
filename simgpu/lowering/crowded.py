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
from simgpu.lowering.access import Access, Loaded, find_window
from simgpu.lowering.unwritten_memory import Leaving, followed, words_of

_ADDRESS_OF_32_BITS = (1 << 32) - 1
_Load = Callable[[Context, Access], Loaded]
_Store = Callable[[Context, Access, Sequence[Value], Leaving | None], None]


def load_by_call(c: Context, access: Access, load: _Load) -> Loaded:
    """Load by a call of what `load` generates."""
    lanes = 1 if access.address.lanes == 1 else WARP
    follows = followed(c, access)
    masks = [constant("i32", 0, words_of(access))] if follows else []
    results = [*[constant(access.element, 0, lanes)] * access.count, *masks]
    form = _Form(c, access)
    name = form.name("follow" if follows else "load")
    found = c.outlined(name, results, form.inputs, lambda inputs: load(c, form.access_of(inputs)).flat)
    return Loaded.of(found, access.count)


def store_by_call(
    c: Context, access: Access, values: Sequence[Value], unwritten: Leaving | None, store: _Store
) -> None:
    """Store by a call of what `store` generates."""
    form = _Form(c, access)
    masks = () if unwritten is None else (unwritten.site, *unwritten.masks)
    first, behind = len(form.inputs), len(form.inputs) + len(values)

    def body(inputs: Sequence[Value]) -> Sequence[Value]:
        leaves = Leaving(inputs[behind], tuple(inputs[behind + 1 :])) if masks else None
        store(c, form.access_of(inputs), inputs[first:behind], leaves)
        return ()

    kinds = ".".join(str(value.lanes) for value in values)
    name = f"{form.name('leave' if masks else 'store')}.{kinds}.{len(masks)}"
    c.outlined(name, (), (*form.inputs, *values, *masks), body)


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
            if not self._access.wide:  # lanes that are masked off may lie below the first, at the other end of 32 bits
                address = self._c.e.number("and", address, _ADDRESS_OF_32_BITS)
        return replace(self._access, address=address, given_site=site)

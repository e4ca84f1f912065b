"""`mbarrier`: barriers in shared memory that count arrivals and transactions (PTX ISA, 'mbarrier').

A barrier is one word that only these instructions read (`runtime/mbarrier.ll`). The warps of a block take turns, so no
host atomics are needed. A wait that fails lets the other warps run.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.access import count_access, open_access, resolve
from simgpu.lowering.copies import end_copies
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import order
from simgpu.ptx.syntax import Address, Instruction, Operand, ScalarType, Space

_ORDERINGS = ("release", "acquire", "relaxed")
_SCOPES = ("cta", "cluster")
_PENDING_BIT = 21
_COUNT_BIT = 41
_PHASE_BIT = 63
_COUNT_MASK = (1 << 20) - 1


def _mbarrier(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    if "shared::cluster" in i.modifiers:
        raise c.unsupported(i, "a barrier of another block")
    action = modifiers.take(*_ACTIONS)
    for name in ("expect_tx", "parity", "noComplete"):
        modifiers.take(name)
    modifiers.take(*_ORDERINGS)
    modifiers.take(*_SCOPES)
    space = Space.SHARED if modifiers.take("shared", "shared::cta") else Space.GENERIC
    kind = modifiers.kind()
    modifiers.done()
    if action is None or kind is not ScalarType.B64:
        raise c.unsupported(i)
    _ACTIONS[action](c, i, space)


def _hosts(c: Context, i: Instruction, operand: Operand, space: Space) -> Value:
    """Check the barriers' addresses and return the host's."""
    if not isinstance(operand, Address):
        raise c.unsupported(i)
    access = open_access(c, i, operand, space, element="i64", count=1).spread(c)
    count_access(c, access, 2)
    return resolve(c, access).hosts


def _initialise(c: Context, i: Instruction, space: Space) -> None:
    hosts = _hosts(c, i, i.operands[0], space)
    count = c.e.number("and", c.e.resize(c.e.splat(c.source(i.operands[1], ScalarType.U32)), "i64"), _COUNT_MASK)
    word = c.e.binary("or", c.e.number("shl", count, _PENDING_BIT), c.e.number("shl", count, _COUNT_BIT))
    c.e.call("sgpu_scatter_i64", None, hosts, c.bits(), word)


def _invalidate(c: Context, i: Instruction, space: Space) -> None:
    hosts = _hosts(c, i, i.operands[0], space)
    c.e.call("sgpu_scatter_i64", None, hosts, c.bits(), constant("i64", 0, WARP))


def _expect(c: Context, i: Instruction, space: Space) -> None:
    hosts = _hosts(c, i, i.operands[0], space)
    _update(c, hosts, constant("i64", 0, WARP), _number(c, i.operands[1]))


def _complete(c: Context, i: Instruction, space: Space) -> None:
    hosts = _hosts(c, i, i.operands[0], space)
    done = c.e.binary("sub", constant("i64", 0, WARP), _number(c, i.operands[1]))
    _update(c, hosts, constant("i64", 0, WARP), done)


def _arrive(c: Context, i: Instruction, space: Space) -> None:
    operands = list(i.operands)
    target = None if isinstance(operands[0], Address) else operands.pop(0)
    hosts = _hosts(c, i, operands[0], space)
    count = expected = None
    if len(operands) > 1:
        number = _number(c, operands[1])
        count, expected = (None, number) if "expect_tx" in i.modifiers else (number, None)
    count = count or constant("i64", 1, WARP)
    old = _update(c, hosts, count, expected, drops=count if "arrive_drop" in i.modifiers else None)
    if target is not None:
        c.result(target, old)


def _number(c: Context, operand: Operand) -> Value:
    return c.e.resize(c.e.splat(c.source(operand, ScalarType.U32)), "i64")


def _update(
    c: Context, hosts: Value, arrivals: Value, expected: Value | None = None, drops: Value | None = None
) -> Value:
    """Change the active lanes' barriers and return their old words."""
    if "mbarrier_arrive" not in c.program.support:
        c.program.support["mbarrier_arrive"] = (files("simgpu.runtime") / "mbarrier.ll").read_text()
    none = constant("i64", 0, WARP)
    return c.e.call("mbarrier_arrive", none, hosts, c.bits(), arrivals, expected or none, drops or none)


def _wait(c: Context, i: Instruction, space: Space) -> None:
    """Tell whether a phase is complete; `try_wait` gives way to the other warps if it is not."""
    hosts = _hosts(c, i, i.operands[1], space)
    word = c.e.call("sgpu_gather_i64", constant("i64", 0, WARP), hosts, c.bits())
    phase = c.e.number("lshr", word, _PHASE_BIT)
    if "parity" in i.modifiers:
        asked = c.e.number("and", _number(c, i.operands[2]), 1)
    else:
        asked = c.e.number("lshr", c.e.splat(c.source(i.operands[2], ScalarType.B64)), _PHASE_BIT)
    done = c.e.compare("icmp ne", phase, asked)
    order(c)
    if "try_wait" in i.modifiers:
        _give_way(c, i, done)
    c.result(i.operands[0], done)


def _give_way(c: Context, i: Instruction, done: Value) -> None:
    """Let the other warps run once if no lane goes on."""
    wait, go = c.e.label("wait"), c.e.label("go")
    some = c.any(c.both(c.mask, done))
    c.e.line(f"br i1 {some.text}, label %{go}, label %{wait}")
    c.e.start(wait)
    c.e.call(
        "sgpu_spin", constant("i64", 0), c.worker, constant("i32", c.program.site(i)), c.first_lane(),
        constant("i32", 0),
    )  # fmt: skip
    c.e.line(f"br label %{go}")
    c.e.start(go)


def arrive_after_copies(c: Context, i: Instruction) -> None:
    """`cp.async.mbarrier.arrive`: arrive when this thread's copies are done, which they are by then.

    Without `.noinc` the barrier waits for one more arrival, which is this one: nothing changes.
    """
    modifiers = Modifiers(i)
    for name in ("async", "mbarrier", "arrive", "shared", "shared::cta", "b64"):
        modifiers.take(name)
    counts = modifiers.has("noinc")
    modifiers.done()
    space = Space.SHARED if {"shared", "shared::cta"} & set(i.modifiers) else Space.GENERIC
    hosts = _hosts(c, i, i.operands[0], space)
    end_copies(c, constant("i32", -1))
    if counts:
        _update(c, hosts, constant("i64", 1, WARP))


def _pending_count(c: Context, i: Instruction, _space: Space) -> None:
    """`mbarrier.pending_count`: the arrivals that were pending when a word was returned."""
    word = c.source(i.operands[1], ScalarType.B64)
    c.result(i.operands[0], c.e.cast("trunc", c.e.number("and", c.e.number("lshr", word, 21), _COUNT_MASK), "i32"))


_ACTIONS: dict[str, Callable[[Context, Instruction, Space], None]] = {
    "init": _initialise,
    "inval": _invalidate,
    "arrive": _arrive,
    "arrive_drop": _arrive,
    "complete_tx": _complete,
    "test_wait": _wait,
    "try_wait": _wait,
    "pending_count": _pending_count,
    "expect_tx": _expect,
}
TABLE: dict[str, Callable[[Context, Instruction], None]] = {"mbarrier": _mbarrier}

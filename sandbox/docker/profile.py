"""The policy of `seccomp.toml` as a seccomp profile in Docker's form, for the container as a whole.

The form compares whole arguments with one constant at a time, so one rule (`personality`, all of whose values but two
are refused) cannot be said in it, nor that calls without a name yet are refused. Both are in the filter that the
command gets on top of this one; under this one alone runs nothing but our own first process.
"""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Iterator

from sandbox.seccomp import Architecture, ArgumentRule, policy
from tasks.errors import InfraError

_LOW_HALF = 0xFFFFFFFF
"""What of an argument counts for the calls that have rules."""
_WIDEST_GAP = 64
"""Values between two allowed ones that are refused one by one."""


def docker_profile(*, gpu: bool, machine: str | None = None) -> str:
    """Return the profile as JSON.

    Parameters
    ----------
    gpu
        Whether the container is given a GPU, whose driver needs memory files.
    machine
        Architecture as `uname -m` gives it; this machine's by default.

    Raises
    ------
    InfraError
        The policy does not know the architecture.
    """
    machine = machine or platform.machine()
    rules = policy()
    if machine not in rules.architectures:
        raise InfraError(f"there is no seccomp profile for the architecture {machine}")
    architecture = rules.architectures[machine]
    calls = [
        _refused([call for call in refusal.calls if call in architecture.numbers], refusal.error)
        for refusal in rules.refusals
        if not (gpu and refusal.name == "memory-files")
    ]
    calls += [entry for rule in rules.arguments for entry in _judged(rule, architecture)]
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": [architecture.libseccomp],
            "syscalls": calls,
        }
    )


def _refused(calls: list[str], error: str, *arguments: dict[str, object]) -> dict[str, object]:
    answer = int(getattr(errno, error))
    return {"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": answer, "args": list(arguments)}


def _judged(rule: ArgumentRule, architecture: Architecture) -> Iterator[dict[str, object]]:
    """Return one entry for each comparison that refuses; any of them is enough."""
    if rule.call not in architecture.numbers:
        return
    for operation, value, second in _comparisons(rule):
        compared = {"index": rule.argument, "value": value, "valueTwo": second, "op": operation}
        yield _refused([rule.call], rule.error, compared)


def _comparisons(rule: ArgumentRule) -> Iterator[tuple[str, int, int]]:
    masked = "SCMP_CMP_MASKED_EQ"
    if rule.forbidden_bits is not None:
        bits = (1 << place for place in range(32))
        yield from ((masked, bit, bit) for bit in bits if rule.forbidden_bits & bit)
    elif rule.forbidden is not None:
        yield from ((masked, _LOW_HALF, value) for value in rule.forbidden)
    elif rule.allowed is not None and max(rule.allowed) < _WIDEST_GAP:
        below = set(range(max(rule.allowed))) - set(rule.allowed)
        yield from ((masked, _LOW_HALF, value) for value in sorted(below))
        yield "SCMP_CMP_GT", max(rule.allowed), 0

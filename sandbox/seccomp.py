"""Filters of system calls: the policy of `seccomp.toml`, put together as the classic BPF that seccomp(2) takes.

A program is a list of 8-byte instructions over `struct seccomp_data`. It looks at the architecture first, since numbers
mean nothing without it, then at the call's number, then, for a few calls, at the low half of one argument (which is all
that counts of it). Every rule is a block that is skipped unless the number is its own, and that always returns.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from tasks.errors import InfraError
from tasks.values import Value

# linux/seccomp.h
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER_OFFSET = 0
_ARCHITECTURE_OFFSET = 4
_ARGUMENTS_OFFSET = 16
_ARGUMENT_BYTES = 8

# linux/bpf_common.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

INSTRUCTION = struct.Struct("=HBBI")
"""`struct sock_filter`: operation, jump if true, jump if false, constant."""


class FilterStage(StrEnum):
    """When a filter is installed, which decides what it still lets through."""

    NAMESPACE = "namespace"
    """On everything in the sandbox, its first process included; leaves `mount` to the program that bounds it."""
    COMMAND = "command"
    """On the command itself, on top of the other: `mount`."""


class Refusal(Value):
    """Calls that always fail, with one error."""

    name: str
    why: str
    error: str
    calls: tuple[str, ...]


class ArgumentRule(Value):
    """A call that one of its arguments decides; exactly one of the last three is given."""

    call: str
    why: str
    argument: int
    error: str
    allowed: tuple[int, ...] | None = None
    """Values that pass."""
    forbidden: tuple[int, ...] | None = None
    """Values that do not."""
    forbidden_bits: int | None = None
    """Bits none of which may be set."""


class Architecture(Value):
    """Numbers of one architecture."""

    audit: int
    """Its `AUDIT_ARCH_` constant."""
    libseccomp: str
    """Its name in Docker's profiles."""
    foreign_bit: int | None = None
    """Bit that marks calls of another ABI under the same constant."""
    numbers: dict[str, int]


class Policy(Value):
    """`seccomp.toml`."""

    newest: int
    refusals: tuple[Refusal, ...]
    arguments: tuple[ArgumentRule, ...]
    architectures: dict[str, Architecture]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; jumps count the instructions that are skipped."""

    operation: int
    constant: int
    if_true: int = 0
    if_false: int = 0


@lru_cache(maxsize=1)
def policy() -> Policy:
    """Read the policy."""
    text = resources.files("sandbox").joinpath("seccomp.toml").read_text(encoding="utf-8")
    return Policy.model_validate(tomllib.loads(text))


@lru_cache(maxsize=8)
def filter_program(stage: FilterStage, *, gpu: bool, machine: str | None = None) -> bytes:
    """Put a filter together.

    Parameters
    ----------
    stage
        When it is installed.
    gpu
        Whether the process is given a GPU, whose driver needs memory files.
    machine
        Architecture as `uname -m` gives it; this machine's by default.

    Raises
    ------
    InfraError
        The policy does not know the architecture.
    """
    machine = machine or platform.machine()
    rules = policy()
    if machine not in rules.architectures or (machine == platform.machine() and sys.byteorder != "little"):
        raise InfraError(f"there is no filter of system calls for the architecture {machine}")
    architecture = rules.architectures[machine]
    program = [*_prologue(architecture, rules.newest)]
    for refusal in rules.refusals:
        if (refusal.name == "setup") is (stage is FilterStage.COMMAND) and not (gpu and refusal.name == "memory-files"):
            answer = _error(refusal.error)
            for call in refusal.calls:
                program += _rule(architecture, call, [answer])
    if stage is FilterStage.NAMESPACE:
        for rule in rules.arguments:
            program += _rule(architecture, rule.call, [*_decision(rule)])
    program.append(Instruction(_RETURN, _ALLOW))
    return b"".join(INSTRUCTION.pack(one.operation, one.if_true, one.if_false, one.constant) for one in program)


def _prologue(architecture: Architecture, newest: int) -> Iterator[Instruction]:
    yield Instruction(_LOAD, _ARCHITECTURE_OFFSET)
    yield Instruction(_JUMP_EQUAL, architecture.audit, if_true=1)
    yield Instruction(_RETURN, _KILL_PROCESS)
    yield Instruction(_LOAD, _NUMBER_OFFSET)
    if architecture.foreign_bit is not None:
        yield Instruction(_JUMP_BITS, architecture.foreign_bit, if_false=1)
        yield Instruction(_RETURN, _KILL_PROCESS)
    yield Instruction(_JUMP_AT_LEAST, newest + 1, if_false=1)
    yield _error("ENOSYS")


def _rule(architecture: Architecture, call: str, block: Sequence[Instruction]) -> Iterator[Instruction]:
    """Run the block, which returns, when the call is the rule's; a call that the architecture lacks needs none."""
    if call in architecture.numbers:
        yield Instruction(_JUMP_EQUAL, architecture.numbers[call], if_false=len(block))
        yield from block


def _decision(rule: ArgumentRule) -> Iterator[Instruction]:
    yield Instruction(_LOAD, _ARGUMENTS_OFFSET + _ARGUMENT_BYTES * rule.argument)
    error, allow = _error(rule.error), Instruction(_RETURN, _ALLOW)
    if rule.forbidden_bits is not None:
        yield Instruction(_JUMP_BITS, rule.forbidden_bits, if_false=1)
        yield error
        yield allow
        return
    listed, other = (allow, error) if rule.allowed is not None else (error, allow)
    for value in rule.allowed or rule.forbidden or ():
        yield Instruction(_JUMP_EQUAL, value, if_false=1)
        yield listed
    yield other


def _error(name: str) -> Instruction:
    return Instruction(_RETURN, _ERRNO | int(getattr(errno, name)))

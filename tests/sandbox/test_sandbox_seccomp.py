from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.docker.profile import docker_profile
from sandbox.seccomp import INSTRUCTION, FilterStage, filter_program, policy
from tasks.errors import InfraError

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000
MACHINES = ("x86_64", "aarch64")
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


def run(program: bytes, number: int, audit: int, arguments: tuple[int, ...] = ()) -> int:
    """Execute a program as seccomp(2) describes it, on `struct seccomp_data`."""
    words = {0: number, 4: audit}
    for place, value in enumerate(arguments):
        words[16 + 8 * place] = value & 0xFFFFFFFF
    instructions = list(INSTRUCTION.iter_unpack(program))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, constant = instructions[at]
        at += 1
        if operation == 0x20:
            accumulator = words.get(constant, 0)
        elif operation == 0x06:
            return constant
        else:
            taken = {
                0x15: accumulator == constant,
                0x35: accumulator >= constant,
                0x45: bool(accumulator & constant),
            }[operation]
            at += if_true if taken else if_false


def answer(machine: str, call: str | int, *arguments: int, stage=FilterStage.NAMESPACE, gpu=False, audit=None) -> int:
    architecture = policy().architectures[machine]
    number = architecture.numbers[call] if isinstance(call, str) else call
    program = filter_program(stage, gpu=gpu, machine=machine)
    return run(program, number, architecture.audit if audit is None else audit, arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"{header} is not here")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    ours = policy().architectures[machine].numbers
    assert {name: int(found[name]) for name in ours if name in found} == {n: v for n, v in ours.items() if n in found}
    assert len(set(ours) - set(found)) == 0


@pytest.mark.parametrize("machine", MACHINES)
def test_every_refusal_answers_with_its_error(machine):
    for refusal in policy().refusals:
        stage = FilterStage.COMMAND if refusal.name == "setup" else FilterStage.NAMESPACE
        for call in refusal.calls:
            if call in policy().architectures[machine].numbers:
                assert answer(machine, call, stage=stage) == ERRNO | getattr(errno, refusal.error), call


def test_every_rule_names_a_call_of_some_architecture():
    known = {name for architecture in policy().architectures.values() for name in architecture.numbers}
    named = [call for refusal in policy().refusals for call in refusal.calls]
    named += [rule.call for rule in policy().arguments]
    assert set(named) == known
    assert len(named) == len(set(named))


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 2**32 - 1), arguments=st.tuples(*[st.integers(0, 2**64 - 1)] * 3))
def test_a_call_without_a_rule_passes_and_an_unjudged_one_is_unknown(machine, number, arguments):
    architecture = policy().architectures[machine]
    if number in architecture.numbers.values():
        return
    got = answer(machine, number, *arguments)
    if architecture.foreign_bit is not None and number & architecture.foreign_bit:
        assert got == KILL
    else:
        assert got == (ALLOW if number <= policy().newest else ERRNO | errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("stage", FilterStage)
def test_calls_of_another_architecture_kill(machine, stage):
    other = policy().architectures[next(one for one in MACHINES if one != machine)].audit
    for audit in (other, 0x40000003, 0x40000028):  # 32-bit x86 and Arm
        assert answer(machine, 0, stage=stage, audit=audit) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "passes"),
    [
        ("socket", (1, 1, 0), True),
        ("socket", (2, 1, 0), True),
        ("socket", (10, 2, 0), True),
        ("socket", (16, 3, 0), False),
        ("socket", (17, 3, 0), False),
        ("socket", (38, 5, 0), False),
        ("socket", (40, 1, 0), False),
        ("socket", (40 | 1 << 32, 1, 0), False),
        ("clone", (0x003D0F00,), True),
        ("clone", (17,), True),
        ("clone", (0x10000000 | 17,), False),
        ("clone", (0x00020000,), False),
        ("clone", (0x40000000,), False),
        ("ioctl", (0, 0x5401), True),
        ("ioctl", (0, 0x5412), False),
        ("ioctl", (0, 0x5412 | 1 << 40), False),
        ("ioctl", (0, 0x541C), False),
        ("personality", (0xFFFFFFFF,), True),
        ("personality", (0,), True),
        ("personality", (0x0400000,), False),
        ("prlimit64", (0, 7), True),
        ("prlimit64", (1, 7), False),
    ],
)
def test_arguments_decide(machine, call, arguments, passes):
    assert (answer(machine, call, *arguments) == ALLOW) is passes


@pytest.mark.parametrize("machine", MACHINES)
def test_a_gpu_brings_memory_files_and_nothing_else(machine):
    assert answer(machine, "memfd_create") == ERRNO | errno.ENOSYS
    assert answer(machine, "memfd_create", gpu=True) == ALLOW
    for call in ("bpf", "ptrace", "mq_open"):
        assert answer(machine, call, gpu=True) != ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_mounting_is_left_to_the_program_that_bounds_and_to_no_other(machine):
    assert answer(machine, "mount") == ALLOW
    assert answer(machine, "mount", stage=FilterStage.COMMAND) == ERRNO | errno.EPERM


def refused_by_docker(profile: dict, call: str, arguments: tuple[int, ...]) -> int | None:
    """Return the error that a container's profile answers with, as libseccomp reads it; None where it lets through."""
    for entry in profile["syscalls"]:
        if call in entry["names"] and all(compared(one, arguments) for one in entry["args"]):
            return entry["errnoRet"]
    return None


def compared(one: dict, arguments: tuple[int, ...]) -> bool:
    value = arguments[one["index"]]
    if one["op"] == "SCMP_CMP_GT":
        return value > one["value"]
    assert one["op"] == "SCMP_CMP_MASKED_EQ"
    return value & one["value"] == one["valueTwo"]


SMALL = st.integers(0, 50) | st.sampled_from([0x5412, 0x541C, 17, 0x10000000, 0x40000000, 0xFFFFFFFF])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("gpu", [False, True])
@given(data=st.data())
def test_a_containers_profile_decides_as_the_filter_does(machine, gpu, data):
    profile = json.loads(docker_profile(gpu=gpu, machine=machine))
    call = data.draw(st.sampled_from(sorted(policy().architectures[machine].numbers)))
    arguments = data.draw(st.tuples(SMALL, SMALL))
    stage = FilterStage.COMMAND if call == "mount" else FilterStage.NAMESPACE
    expected = answer(machine, call, *arguments, stage=stage, gpu=gpu)
    # One comparison with one constant cannot say "neither of these two".
    error = None if call == "personality" or expected == ALLOW else expected - ERRNO
    assert refused_by_docker(profile, call, arguments) == error


def test_a_containers_profile_names_its_architecture():
    assert [json.loads(docker_profile(gpu=False, machine=one))["architectures"] for one in MACHINES] == [
        ["SCMP_ARCH_X86_64"],
        ["SCMP_ARCH_AARCH64"],
    ]
    with pytest.raises(InfraError, match="riscv64"):
        docker_profile(gpu=False, machine="riscv64")


def test_an_architecture_without_numbers_is_refused_by_name():
    with pytest.raises(InfraError, match="riscv64"):
        filter_program(FilterStage.COMMAND, gpu=False, machine="riscv64")

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.build.diagnosis import build_error, build_warnings, kernel_resources
from sandbox.values import BuildErrorKind, BuildWarning, KernelResources

VERBOSE = """\
ptxas info    : 0 bytes gmem, 24 bytes cmem[3]
ptxas info    : Compiling entry function '_Z1aPf' for 'sm_80'
ptxas info    : Function properties for _Z1aPf
    40 bytes stack frame, 16 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 40 bytes cumulative stack size, 4096 bytes smem, 360 bytes cmem[0], 8 bytes cmem[2]
ptxas info    : Function properties for __internal_trig
    8 bytes stack frame, 1 bytes spill stores, 2 bytes spill loads
ptxas info    : Compiling entry function 'b' for 'sm_80'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""


def test_resources_are_read_per_kernel():
    assert kernel_resources(VERBOSE) == (
        KernelResources(
            kernel="_Z1aPf",
            arch="sm_80",
            registers=255,
            spill_stores=16,
            spill_loads=20,
            stack=40,
            static_shared=4096,
            constant=368,
        ),
        KernelResources(kernel="b", arch="sm_80", registers=8),
    )


def test_resources_of_several_architectures_are_kept_apart():
    both = kernel_resources(VERBOSE + VERBOSE.replace("sm_80", "sm_90").replace("255 registers", "64 registers"))
    assert [(kernel.arch, kernel.registers) for kernel in both] == [
        ("sm_80", 255),
        ("sm_80", 8),
        ("sm_90", 64),
        ("sm_90", 8),
    ]


def test_warnings_are_read_with_their_places_and_once():
    log = """\
kernel.cu(12): warning #177-D: variable "n" was declared but never referenced
    int n = 3;
        ^
kernel.cu:9:5: warning: unused variable 'm' [-Wunused-variable]
kernel.cu(12): warning #177-D: variable "n" was declared but never referenced
ptxas warning : Stack size for entry function 'k' cannot be statically determined
ptxas info    : Used 8 registers
"""
    assert build_warnings(log) == (
        BuildWarning(file="kernel.cu", line=12, message='#177-D: variable "n" was declared but never referenced'),
        BuildWarning(file="kernel.cu", line=9, message="unused variable 'm' [-Wunused-variable]"),
        BuildWarning(message="Stack size for entry function 'k' cannot be statically determined"),
    )


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "ptxas error   : Entry function 'k' uses too much shared data (0x61a80 bytes, 0xc000 max)",
            BuildErrorKind.RESOURCES,
        ),
        ("ptxas error   : Formal parameter space overflowed (40 bytes max) in function f", BuildErrorKind.RESOURCES),
        ("ptxas fatal   : Unresolved extern function 'f'", BuildErrorKind.PTXAS),
        ("nvlink error   : Undefined reference to 'f' in 'a.o'", BuildErrorKind.LINK),
        ("/usr/bin/ld: a.o: in function `main': undefined reference to `f'", BuildErrorKind.LINK),
        ('kernel.cu(3): error: identifier "foo" is undefined', BuildErrorKind.UNDECLARED),
        ("kernel.cu:3:5: error: 'foo' was not declared in this scope", BuildErrorKind.UNDECLARED),
        (
            'kernel.cu(3): error: no instance of overloaded function "f" matches the argument list',
            BuildErrorKind.TYPE_MISMATCH,
        ),
        ("kernel.cu:9:1: error: invalid conversion from 'int*' to 'float*'", BuildErrorKind.TYPE_MISMATCH),
        ("kernel.cu:9:1: error: expected ';' before 'return'", BuildErrorKind.SYNTAX),
        ('kernel.cu(1): catastrophic error: cannot open source file "a.h"', BuildErrorKind.MISSING_HEADER),
        ("kernel.cu(1): error: the sky is falling", BuildErrorKind.OTHER),
    ],
)
def test_messages_are_classified(line, kind):
    error = build_error(f"warning: something\n{line}\n    context\n    ^\nnoise\n")
    assert error.kind is kind
    assert error.summary == f"{line}\n    context\n    ^"


def test_a_log_without_an_error_line_is_its_own_summary():
    assert build_error("Segmentation fault\n").summary == "Segmentation fault"


@given(st.text(max_size=400))
def test_no_log_breaks_the_readers(log):
    build_error(log, "forward")
    kernel_resources(log)
    build_warnings(log)

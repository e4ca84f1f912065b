"""Which of the opcodes that compilers emit are lowered.

`data/opcodes.txt` has an example of each opcode of a survey, `data/opcodes_more.txt` of further forms of the same
families. Each is lowered by itself and LLVM reads the result. What is refused must be marked so, and what is marked
must be refused.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from llvmlite import binding as llvm

from simgpu.codegen.program import Variant, plan_program
from simgpu.errors import UnsupportedError
from simgpu.module import generate
from simgpu.ptx.parser import parse_module

DATA = Path(__file__).parent / "data"
FRAME = """.version 8.8
.target sm_90a
.address_size 64
.const .align 16 .b8 table[256];
.func callee() {{ ret; }}
.visible .entry k(.param .align 16 .b8 args[64])
{{
.reg .pred %p<16>; .reg .b16 %h<16>; .reg .b32 %r<64>; .reg .b64 %d<32>;
.param .align 16 .b8 slot[16];
{instruction}
DONE: ret;
}}
"""


@dataclass(frozen=True)
class Example:
    """A surveyed opcode: how many kernels use it, an instruction, and whether it is said to be refused."""

    kernels: int
    instruction: str
    refused: bool


def examples(name):
    found = []
    for line in (DATA / name).read_text().splitlines():
        if not line.startswith("#"):
            kernels, instruction = line[1:].split(maxsplit=1)
            found.append(Example(int(kernels), instruction, line[0] == "-"))
    return found


def is_lowered(example):
    syntax = parse_module(FRAME.format(instruction=example.instruction))
    kernel = next(function for function in syntax.functions if function.entry)
    try:
        text = generate(plan_program(syntax, kernel, Variant((64, 1, 1), checks=True, counters=False)))
    except UnsupportedError:
        return False
    llvm.parse_assembly(text).verify()
    return True


@pytest.mark.parametrize("name", ["opcodes.txt", "opcodes_more.txt"])
def test_every_example_is_lowered_unless_it_is_marked(name):
    surprising = [example.instruction for example in examples(name) if is_lowered(example) is example.refused]
    assert surprising == []


def test_the_documentation_states_the_figures():
    listed = examples("opcodes.txt")
    excluded = [line for line in (DATA / "opcodes_excluded.txt").read_text().splitlines() if line[0] != "#"]
    supported = [example for example in listed if not example.refused]
    page = (Path(__file__).parents[3] / "docs" / "simgpu.md").read_text()
    assert f"{len(supported)} of the {len(listed)} opcodes" in page
    assert f"{len(excluded)} more belong" in page
    assert f"{len(listed) + len(excluded)} different opcodes" in page

"""Random control-flow graphs, reducible or not, against an interpreter that runs one thread at a time."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simgpu import UnsupportedError, load_module
from simgpu.errors import PtxSyntaxError

REGISTERS = 5
STEPS = 60
THREADS = 50


@dataclass(frozen=True)
class Op:
    name: str
    target: int
    left: int
    right: int
    guard: int | None = None


@dataclass(frozen=True)
class Node:
    ops: tuple[Op, ...]
    tested: int
    bound: int
    taken: int | None
    other: int


OPS = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "xor": lambda a, b: a ^ b, "mov": lambda _a, b: b}


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 7))
    register = st.integers(0, REGISTERS - 1)
    op = st.builds(Op, st.sampled_from(sorted(OPS)), register, register, register, st.none() | register)
    nodes = []
    for _ in range(count):
        target = st.integers(0, count)
        nodes.append(
            Node(
                tuple(draw(st.lists(op, max_size=3))), draw(register), draw(st.integers(0, 40)),
                draw(st.none() | target), draw(target),
            )
        )  # fmt: skip
    return tuple(nodes)


def to_ptx(nodes):
    lines = []
    for number, node in enumerate(nodes):
        lines.append(f"L{number}: add.u32 %s, %s, 1; setp.gt.u32 %q, %s, {STEPS}; @%q bra L{len(nodes)};")
        for op in node.ops:
            guard = ""
            if op.guard is not None:
                lines.append(f"and.b32 %t, %r{op.guard}, 1; setp.ne.u32 %g, %t, 0;")
                guard = "@%g "
            operands = (
                f"%r{op.target}, %r{op.right}" if op.name == "mov" else f"%r{op.target}, %r{op.left}, %r{op.right}"
            )
            kind = "b32" if op.name in {"xor", "mov"} else "u32"
            lines.append(f"{guard}{op.name}.{kind} {operands};")
        if node.taken is not None:
            lines.append(f"and.b32 %t, %r{node.tested}, 31; setp.lt.u32 %p, %t, {node.bound}; @%p bra L{node.taken};")
        lines.append(f"bra L{node.other};")
    stores = " ".join(f"st.global.u32 [%rd1+{4 * THREADS * number}], %r{number};" for number in range(REGISTERS))
    return f"""
.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 out)
{{
  .reg .pred %p, %q, %g; .reg .b32 %r<{REGISTERS}>, %s, %t; .reg .b64 %rd<3>;
  mov.u32 %r0, %tid.x; mov.u32 %r1, 3; mul.lo.u32 %r2, %r0, 7; mov.u32 %r3, %ctaid.x; shr.u32 %r4, %r0, 5; mov.u32 %s, 0;
  {chr(10).join(lines)}
L{len(nodes)}:
  ld.param.u64 %rd0, [out]; mad.wide.u32 %rd1, %r3, 0, %rd0; mov.u32 %t, %tid.x; mad.wide.u32 %rd1, %t, 4, %rd1;
  {stores}
  ret;
}}
"""


def interpret(nodes, thread):
    r = [thread, 3, 7 * thread, 0, thread // 32]
    here, steps = 0, 0
    while here < len(nodes):
        node = nodes[here]
        steps += 1
        if steps > STEPS:
            break
        for op in node.ops:
            if op.guard is None or r[op.guard] & 1:
                r[op.target] = OPS[op.name](r[op.left], r[op.right]) % 2**32
        here = node.taken if node.taken is not None and (r[node.tested] & 31) < node.bound else node.other
    return r


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(nodes=graphs())
def test_any_graph_gives_each_thread_its_own_path(card, nodes):
    out = card.put(np.zeros((REGISTERS, THREADS), np.uint32))
    report = card.run(load_module(to_ptx(nodes)), "k", (1,), (THREADS,), out)
    assert report.ok
    got = card.get(out, np.zeros((REGISTERS, THREADS), np.uint32))
    assert got.T.tolist() == [interpret(nodes, thread) for thread in range(THREADS)]
    card.memory.free(out)


HEAD = ".version 8.0\n.target sm_90\n.address_size 64\n"


def test_scopes_registers_without_a_sign_and_labels_within(card):
    """What inline assembly looks like after nvcc: nested scopes that reuse names, labels too."""
    block = """
  {
    .reg .pred P1; .reg .b32 count;
    mov.u32 count, 0;
    LOOP: add.u32 count, count, 1; setp.lt.u32 P1, count, %r1; @!P1 bra DONE; bra LOOP;
    DONE: add.u32 %r2, %r2, count;
  }"""
    text = f"""{HEAD}.visible .entry k(.param .u64 out) {{
  .reg .b32 %r<4>; .reg .b64 %rd<3>;
  mov.u32 %r1, %tid.x; mov.u32 %r2, 0; {block} {block}
  ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.u32 [%rd2], %r2; ret;
}}"""
    out = card.put(np.zeros(32, np.uint32))
    assert card.run(load_module(text), "k", (1,), (32,), out).ok
    assert card.get(out, np.zeros(32, np.uint32)).tolist() == [2 * max(t, 1) for t in range(32)]


def test_an_indirect_branch_goes_by_its_table(card):
    text = f"""{HEAD}.visible .entry k(.param .u64 out) {{
  .reg .b32 %r<4>; .reg .b64 %rd<3>;
  mov.u32 %r1, %tid.x; and.b32 %r2, %r1, 3;
  table: .branchtargets A, B, A, C;
  brx.idx %r2, table;
  A: mov.u32 %r3, 10; bra.uni E;
  B: mov.u32 %r3, 20; bra.uni E;
  C: mov.u32 %r3, 30;
  E: ld.param.u64 %rd1, [out]; mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.u32 [%rd2], %r3; ret;
}}"""
    out = card.put(np.zeros(32, np.uint32))
    assert card.run(load_module(text), "k", (1,), (32,), out).ok
    assert card.get(out, np.zeros(32, np.uint32)).tolist() == [10, 20, 10, 30] * 8


@pytest.mark.parametrize(
    ("instruction", "named"),
    [
        ("frobnicate.b32 %r1, %r2;", "frobnicate"),
        ("add.f32.sideways %r1, %r2, %r2;", "sideways"),
        ("mul.odd.lo.u32 %r1, %r2, %r2;", "odd"),
        ("ld.global.odd.u32 %r1, [%rd1];", "odd"),
        ("tex.2d.v4.f32.f32 {%r1,%r1,%r1,%r1}, [%rd1];", "tex.2d"),
        ("mov.u32 %r1, %current_graph_exec;", "current_graph_exec"),
        ("bra %r1;", "bra"),
        ("call.uni (%rd1), malloc, (%rd2);", "malloc"),
    ],
)
def test_what_is_not_supported_is_named_with_its_place(card, instruction, named):
    declared = ".extern .func (.param .b64 p) malloc (.param .b64 q);"
    text = f"""{HEAD.strip()} .file 1 "kernel.cu" {declared}
.visible .entry k() {{ .reg .b32 %r<4>; .reg .b64 %rd<3>; .loc 1 7 0
{instruction}
ret;
}}"""
    with pytest.raises(UnsupportedError, match=named) as refusal:
        card.run(load_module(text), "k", (1,), (32,))
    assert "(kernel.cu:7, PTX line 5)" in str(refusal.value)


@pytest.mark.parametrize(
    ("instruction", "remedy"),
    [
        ("tex.2d.v4.f32.f32 {%r1,%r1,%r1,%r1}, [%rd1];", "textures and surfaces are not simulated"),
        ("wgmma.fence.sync.aligned;", "build for sm_80"),
        ("cp.async.bulk.commit_group;", "TMA's bulk copies are not simulated"),
        ("mapa.u64 %rd1, %rd2, %r1;", "thread block clusters are not simulated"),
        ("barrier.cluster.arrive;", "thread block clusters are not simulated"),
        ("call.uni (%rd1), malloc, (%rd2);", "allocate with cudaMalloc"),
    ],
)
def test_a_refusal_says_what_to_do_instead(card, instruction, remedy):
    text = f"""{HEAD}.extern .func (.param .b64 p) malloc (.param .b64 q);
.visible .entry k() {{ .reg .b32 %r<4>; .reg .b64 %rd<3>; {instruction} ret; }}"""
    with pytest.raises(UnsupportedError, match=remedy):
        card.run(load_module(text), "k", (1,), (32,))


@pytest.mark.parametrize(
    "text",
    ["", "int main() {}", HEAD + ".visible .entry k() { add.u32 %r1, 1, 2; }", HEAD + ".entry k( {", HEAD + "\x01"],
)
def test_what_is_not_ptx_is_refused(text):
    with pytest.raises((PtxSyntaxError, UnsupportedError)):
        load_module(text)

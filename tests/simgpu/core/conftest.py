"""Fixtures: nvcc's PTX cached by source, a small card, and a bench for single instructions."""

import hashlib
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from simgpu import DeviceMemory, LaunchOptions, launch, load_module
from simgpu.runtime.stacks import FiberStacks

NVCC = Path(__import__("nvidia.cu13", fromlist=["x"]).__path__[0]) / "bin" / "nvcc"
PTX_TYPES = {
    "u8": np.uint8, "s8": np.int8, "u16": np.uint16, "s16": np.int16, "u32": np.uint32, "s32": np.int32, "b32": np.uint32,
    "u64": np.uint64, "s64": np.int64, "b64": np.uint64, "f16": np.float16, "f32": np.float32, "f64": np.float64,
    "b16": np.uint16, "f16x2": np.uint32, "bf16": np.uint16, "bf16x2": np.uint32,
}  # fmt: skip


def pack(*values):
    """Pack kernel parameters: numpy scalars by their type, Python integers as pointers."""
    out = b""
    for value in values:
        data = struct.pack("<Q", value) if isinstance(value, int) else value.tobytes()
        out = out.ljust(-(-len(out) // len(data)) * len(data), b"\0") + data
    return out


@dataclass
class Card:
    """A small card with helpers that move arrays."""

    memory: DeviceMemory = field(default_factory=lambda: DeviceMemory(256 << 20))

    def put(self, array, label=""):
        address = self.memory.allocate(array.nbytes, label)
        self.memory.view(address, array.nbytes)[:] = array.tobytes()
        return address

    def get(self, address, like):
        return np.frombuffer(bytes(self.memory.view(address, like.nbytes)), like.dtype).reshape(like.shape)

    def run(self, module, kernel, grid, block, *params, shared=0, stacks=FiberStacks, **options):
        grid, block = (tuple([*given, 1, 1][:3]) for given in (grid, block))
        return launch(
            module, kernel, grid=grid, block=block, params=pack(*params), dynamic_shared=shared, memory=self.memory,
            options=LaunchOptions(**options), stacks=stacks,
        )  # fmt: skip


@pytest.fixture
def card():
    return Card()


@pytest.fixture(scope="session")
def compile_cuda(tmp_path_factory):
    """Return a function from CUDA source to a loaded module, with source lines."""
    folder = tmp_path_factory.mktemp("cuda")
    loaded = {}

    def compile_source(source, *flags, arch="sm_90"):
        key = hashlib.sha256("\0".join([source, arch, *flags]).encode()).hexdigest()[:16]
        if key not in loaded:
            place = folder / f"{key}.cu"
            place.write_text(source)
            target = place.with_suffix(".ptx")
            subprocess.run([NVCC, "--ptx", f"-arch={arch}", "-lineinfo", *flags, "-o", target, place], check=True)
            loaded[key] = load_module(target.read_text())
        return loaded[key]

    return compile_source


@pytest.fixture
def instruction(card):
    """Return a function that runs one PTX instruction on arrays: one element for each thread."""

    def run(opcode, out, *inputs, constants=""):
        """`inputs` are (type, array) pairs and `out` a type; operands are `%out, %in0, ...` then `constants`."""
        lanes = run_instruction(card, opcode, out, inputs, constants)
        few = [(kind, array[::7]) for kind, array in inputs]
        alone = run_instruction(card, opcode, out, few, constants, alone=True)
        assert same_bits(alone, lanes[::7]), "one thread to a block gives another result than many"
        return lanes

    return run


def same_bits(first, second):
    number = first.dtype.kind != "f"
    return np.array_equal(first, second) if number else np.array_equal(first, second, equal_nan=True)


def run_instruction(card, opcode, out, inputs, constants, *, alone=False):
    """Run over all elements, 64 threads to a block, or `alone`: one thread, whose values are uniform."""
    count = len(inputs[0][1])
    register = {8: "b16", 16: "b16", 32: "b32", 64: "b64"}
    lines, names = [], []
    for place, (kind, array) in enumerate(inputs):
        bits = array.dtype.itemsize * 8
        load = kind if kind[0] in "us" else f"b{bits}"
        lines += [
            f".reg .{register[bits]} %in{place};",
            f"ld.param.u64 %p, [p{place}];",
            f"mad.wide.u32 %q, %i, {array.dtype.itemsize}, %p;",
            f"ld.global.{load} %in{place}, [%q];",
        ]
        names.append(f"%in{place}")
    size = np.dtype(PTX_TYPES[out]).itemsize
    store = f"b{size * 8}"
    operands = ", ".join(["%out", *names, *([constants] if constants else [])])
    params = ",".join(f".param .u64 p{place}" for place in range(len(inputs) + 1))
    text = f"""
.version 8.4
.target sm_90
.address_size 64
.visible .entry k({params})
{{
  .reg .b32 %i, %c, %t; .reg .b64 %p, %q; .reg .{register[size * 8]} %out;
  mov.u32 %c, %ctaid.x; mov.u32 %t, %tid.x; {"mov.u32 %i, %c;" if alone else "mad.lo.u32 %i, %c, 64, %t;"}
  {" ".join(lines)}
  {opcode} {operands};
  ld.param.u64 %p, [p{len(inputs)}];
  mad.wide.u32 %q, %i, {size}, %p;
  st.global.{store} [%q], %out;
  ret;
}}
"""
    padded = -(-count // 64) * 64
    addresses = [card.put(np.resize(array, padded)) for _, array in inputs]
    result = np.zeros(padded, PTX_TYPES[out])
    target = card.put(result)
    report = card.run(
        load_module(text), "k", (count,) if alone else (padded // 64,), (1,) if alone else (64,), *addresses, target
    )
    assert report.ok, report.diagnostics
    return card.get(target, result)[:count]

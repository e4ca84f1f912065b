"""The kernel that keeps a real GPU busy, on the simulated one; what it is for needs a card (`test_sandbox_gpu.py`)."""

import struct

import pytest

from sandbox.child.gpu_hold import HOLD_KERNEL, HOLD_PTX
from simgpu import DeviceMemory, LaunchOptions, launch, load_module

TOKEN = 5
ENDLESS = 1 << 60


@pytest.mark.parametrize(("released", "limit_ns"), [(TOKEN, ENDLESS), (TOKEN + 1, ENDLESS), (TOKEN - 1, 2000)])
def test_the_hold_ends_when_it_is_released_or_its_time_is_over(released, limit_ns):
    assert run(released, limit_ns).ok


def test_the_hold_lasts_until_then():
    (diagnostic,) = run(TOKEN - 1, ENDLESS).diagnostics
    assert diagnostic.kind in {"runaway", "deadlock"}


def run(released, limit_ns):
    memory = DeviceMemory(1 << 20)
    flag, relay = memory.allocate(4, "flag"), memory.allocate(4, "relay")
    memory.view(flag, 4)[:] = struct.pack("<I", released)
    memory.view(relay, 4)[:] = bytes(4)
    return launch(
        load_module(HOLD_PTX),
        HOLD_KERNEL,
        grid=(3, 1, 1),
        block=(512, 1, 1),
        params=struct.pack("<QQQI", flag, relay, limit_ns, TOKEN),
        dynamic_shared=0,
        memory=memory,
        options=LaunchOptions(instruction_budget=1_000_000),
    )

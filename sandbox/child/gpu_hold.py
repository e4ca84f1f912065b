"""Keeps a real GPU's multiprocessors busy, so that kernels which the host enqueues meanwhile wait, on any stream.

When the hold ends they begin in the order that their streams and events give, and in no other, however short they are.
A mark that waits for one stream alone then begins before what that stream has not waited for is done.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sandbox.child.gpu_driver import function_of, launch, load_module

HOLD_KERNEL = "kernelwright_hold"
END_KERNEL = "kernelwright_end"
_BLOCK = 512
"""Divides the threads that a multiprocessor of any architecture holds."""
# Only one thread looks at the flag in the host's memory, which takes a microsecond, and tells the others through the
# device's. One thread of each block looks for that; its block waits for it at the barrier.
HOLD_PTX = f"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry {HOLD_KERNEL}(
    .param .u64 flag_param, .param .u64 relay_param, .param .u64 ns_param, .param .u32 token_param)
.maxntid {_BLOCK}, 1, 1
{{
    .reg .pred  %other, %first, %released, %early;
    .reg .b32   %thread, %block, %token, %seen;
    .reg .b64   %flag, %relay, %limit, %start, %now, %passed;
    mov.u32 %thread, %tid.x;
    setp.ne.u32 %other, %thread, 0;
    @%other bra DONE;
    ld.param.u64 %flag, [flag_param];
    ld.param.u64 %relay, [relay_param];
    ld.param.u64 %limit, [ns_param];
    ld.param.u32 %token, [token_param];
    mov.u32 %block, %ctaid.x;
    setp.eq.u32 %first, %block, 0;
    @!%first mov.u64 %flag, %relay;
    mov.u64 %start, %globaltimer;
LOOK:
    ld.volatile.global.u32 %seen, [%flag];
    setp.ge.u32 %released, %seen, %token;
    @%released bra RELEASED;
    nanosleep.u32 100;
    mov.u64 %now, %globaltimer;
    sub.u64 %passed, %now, %start;
    setp.lt.u64 %early, %passed, %limit;
    @%early bra LOOK;
RELEASED:
    @%first st.volatile.global.u32 [%relay], %token;
DONE:
    bar.sync 0;
    ret;
}}
"""
END_PTX = f"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry {END_KERNEL}()
{{
    ret;
}}
"""
_FIRST = -1
"""The priority of a stream whose blocks are given out before those of others."""


class EndMark:
    """A kernel of no work. Its beginning says when a stream had done everything. Made once the device is set."""

    def __init__(self) -> None:
        self._module = load_module(END_PTX.encode())
        self._kernel = function_of(self._module, END_KERNEL)
        self._ahead = torch.cuda.Stream(priority=_FIRST)

    def set_after(self, stream: torch.cuda.Stream) -> None:
        """Enqueue it to begin once the stream's work until now is done, and nothing else."""
        self._ahead.wait_stream(stream)
        launch(self._kernel, (1, 1, 1), (1, 1, 1), (), stream=self._ahead.cuda_stream)


class DeviceHold:
    """Holds the current device. Made once it is set."""

    def __init__(self) -> None:
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self._blocks = properties.multi_processor_count * properties.max_threads_per_multi_processor // _BLOCK
        self._module = load_module(HOLD_PTX.encode())
        self._kernel = function_of(self._module, HOLD_KERNEL)
        self._released = torch.zeros(1, dtype=torch.int32, device="cpu").pin_memory()
        self._relay = torch.zeros(1, dtype=torch.int32, device="cuda")
        self._token = 0

    @contextmanager
    def held(self, stream: torch.cuda.Stream, seconds: float) -> Iterator[None]:
        """Hold the device until the end of the `with` block, but no longer than that.

        Parameters
        ----------
        stream
            Whose earlier work is done first. Later work of it waits in any case.
        seconds
            A call that waits for the device waits for so long.
        """
        self._token += 1
        arguments = (
            struct.pack("<Q", self._released.data_ptr()),
            struct.pack("<Q", self._relay.data_ptr()),
            struct.pack("<Q", int(seconds * 1e9)),
            struct.pack("<I", self._token),
        )
        launch(self._kernel, (self._blocks, 1, 1), (_BLOCK, 1, 1), arguments, stream=stream.cuda_stream)
        try:
            yield
        finally:
            self._released[0] = self._token

"""A thread that executes a `.sync` instruction of its warp must be named in the member mask."""

import numpy as np
import pytest

from simgpu import DiagnosticKind

N = 64
SOURCE = r"""
extern "C" __global__ void kernel(int* data, int n) {
  int v = data[threadIdx.x];
  if (%s) v = %s; // here
  data[threadIdx.x] = v;
}"""
INSTRUCTIONS = (
    "__shfl_xor_sync(%s, v, 1)",
    "__shfl_sync(%s, v, n %% 7)",
    "__any_sync(%s, v)",
    "(int)__ballot_sync(%s, v)",
    "(int)__match_any_sync(%s, v)",
    "(int)__reduce_add_sync(%s, (unsigned)v)",
)


def report_of(card, compile_cuda, condition, instruction, mask):
    data = card.put(np.arange(N, dtype=np.int32), "data")
    source = SOURCE % (condition, instruction % mask)
    return card.run(compile_cuda(source), "kernel", (1,), (N,), data, np.int32(N))


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_a_thread_that_the_mask_leaves_out_is_found(card, compile_cuda, instruction):
    found = report_of(card, compile_cuda, "n > 0", instruction, "0xffffffefu").diagnostics[0]
    assert found.kind is DiagnosticKind.OUTSIDE_MEMBER_MASK
    assert found.line == 4
    assert found.thread[0] % 32 == 4
    assert "member mask" in found.message


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
@pytest.mark.parametrize(("condition", "mask"), [("n > 0", "0xffffffffu"), ("threadIdx.x % 32 < 16", "0x0000ffffu")])
def test_masks_that_name_every_thread_pass(card, compile_cuda, instruction, condition, mask):
    assert report_of(card, compile_cuda, condition, instruction, mask).ok

"""A lane that waits for another warp's flag, while the rest of its warp is at a barrier already."""

import numpy as np

from simgpu import load_module
from tests.simgpu.corpus.case import Case, Out, check

# As nvcc writes it when it optimises little: the loop's header is no branch target of the lanes that skip it.
HAND_OVER = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry hand_over(.param .u64 out)
{
  .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %a<4>;
  .shared .align 4 .u32 flag;
  mov.u32 %r1, %tid.x;
  shr.u32 %r2, %r1, 5;
  and.b32 %r3, %r1, 31;
  setp.ne.s32 %p1, %r1, 0;
  @%p1 bra START;
  mov.u32 %r4, 0;
  st.volatile.shared.u32 [flag], %r4;
START:
  bar.sync 0;
  setp.ne.s32 %p2, %r3, 0;
  @%p2 bra MEET;
  xor.b32 %r5, %r2, 3;
SPIN:
  ld.volatile.shared.u32 %r6, [flag];
  setp.ne.s32 %p3, %r6, %r5;
  @%p3 bra SPIN;
  add.s32 %r6, %r6, 1;
  st.volatile.shared.u32 [flag], %r6;
MEET:
  bar.sync 0;
  ld.param.u64 %a1, [out];
  mul.wide.u32 %a2, %r1, 4;
  add.s64 %a1, %a1, %a2;
  ld.volatile.shared.u32 %r7, [flag];
  st.global.u32 [%a1], %r7;
  ret;
}
"""


def test_lanes_at_a_barrier_wait_for_one_that_spins():
    case = Case("hand_over", (1,), (128,), (Out(np.full(128, 4, np.uint32)),))
    module = load_module(HAND_OVER)
    for seed in (None, 1, 2):
        check(case, module, seed)

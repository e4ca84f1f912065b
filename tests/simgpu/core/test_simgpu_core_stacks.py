"""Kernels with more registers alive than a small stack holds, on warps that wait for each other."""

import numpy as np

from simgpu import load_module

ALIVE = 2150
"""Of 128 bytes each for a warp: more than a quarter of a megabyte, over a barrier that every warp waits at."""


def test_a_kernel_may_keep_thousands_of_registers_over_a_barrier(card):
    loads = "\n".join(f"ld.global.u32 %v{place}, [%a+{128 * place}];" for place in range(ALIVE))
    sums = "\n".join(f"add.u32 %s, %s, %v{place};" for place in range(ALIVE))
    text = f"""
.version 8.4
.target sm_90
.address_size 64
.visible .entry many(.param .u64 in, .param .u64 out)
{{
  .reg .b32 %t, %l, %s; .reg .b32 %v<{ALIVE}>; .reg .b64 %a, %b, %o;
  ld.param.u64 %a, [in]; ld.param.u64 %b, [out];
  mov.u32 %t, %tid.x; and.b32 %l, %t, 31; mul.wide.u32 %o, %l, 4; add.u64 %a, %a, %o;
  {loads}
  bar.sync 0;
  mov.u32 %s, %t;
  {sums}
  mul.wide.u32 %o, %t, 4; add.u64 %b, %b, %o; st.global.u32 [%b], %s;
  ret;
}}"""
    given = np.arange(32 * ALIVE, dtype=np.uint32)
    out = np.zeros(128, np.uint32)
    places = card.put(given), card.put(out)
    report = card.run(load_module(text), "many", (1,), (128,), *places, checks=False)
    assert report.ok, report.diagnostics
    thread = np.arange(128)
    np.testing.assert_array_equal(card.get(places[1], out), given.reshape(ALIVE, 32).sum(0)[thread % 32] + thread)

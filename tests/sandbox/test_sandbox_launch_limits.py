"""Candidates whose launches ask for more than the card has: refused as on a card, never run."""

from __future__ import annotations

import numpy as np

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.settings import SandboxSettings
from sandbox.values import Candidate, ExitState, Language, SourceFile, Tensor
from tasks.values import DType

CANDIDATE = Candidate(
    language=Language.RAW,
    files=(
        SourceFile(
            name="kernel.cu",
            text="""
extern "C" __global__ void sums(const float* x, float* y, int n) {
  extern __shared__ float room[];
  float sums[100] = {};
  for (int i = 0; i < n; ++i)
#pragma unroll
    for (int k = 0; k < 100; ++k) sums[k] = fmaf(sums[k], x[i + k], x[i]);
  room[0] = 0;
#pragma unroll
  for (int k = 0; k < 100; ++k) room[0] += sums[k] * (k + 1);
  if (threadIdx.x == 0) y[0] = room[0];
}
""",
        ),
        SourceFile(
            name="launch.toml",
            text="""
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "x"
shape = [1]
[[launches]]
kernel = "sums"
grid = ["x.shape[1]"]
block = ["x.shape[0]"]
dynamic_shared = "x.shape[2]"
args = ["x", "y", { int32 = 1 }]
""",
        ),
    ),
)


ASKED = (
    ((32, 1, 64), ExitState.OK, ""),
    ((1024, 1, 4), ExitState.LAUNCH_ERROR, "does not fit on an SM (registers)"),
    ((1025, 1, 4), ExitState.LAUNCH_ERROR, "1025"),
    ((32, 1, 232_449), ExitState.LAUNCH_ERROR, "232449 bytes of dynamic shared memory"),
)


def test_a_launch_beyond_the_cards_limits_is_a_launch_error(settings: SandboxSettings) -> None:
    with open_candidate(build(CANDIDATE, "sm_90", settings), parse_device("sim:h100"), settings=settings) as session:
        for shape, state, said in ASKED:
            x = np.ones(shape, "f4")
            execution = session.call([Tensor(dtype=DType.FLOAT32, shape=x.shape, data=x.tobytes())])
            assert execution.state is state, execution.message
            assert said in execution.message

"""Tasks in float16 and bfloat16: a kernel that rounds on its way to what its inputs are does not pass.

The kernels of `examples/kernels` that compute in float32 do; `test_verifier_kernels.py` verifies them.
"""

from pathlib import Path

import pytest

from benchmarks.mutants.subjects import SIXTEEN_BIT
from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Status
from verifier.verify import verify

KERNELS = Path(__file__).with_name("broken")


@pytest.fixture(scope="module")
def verdict_of():
    with SandboxLaboratory() as laboratory:

        def verdict(slug):
            file = SourceFile(name="kernel.cu", text=(KERNELS / f"{slug}_broken.cu").read_text(encoding="utf-8"))
            candidate = Candidate(language=Language.CUDA, files=(file,))
            return verify(library_task(slug), candidate, parse_device("sim:h100"), seed=21, laboratory=laboratory)

        yield verdict


@pytest.mark.parametrize("slug", SIXTEEN_BIT)
def test_a_kernel_that_rounds_to_16_bits_on_its_way_fails(slug, verdict_of):
    assert verdict_of(slug).status is Status.WRONG_VALUES

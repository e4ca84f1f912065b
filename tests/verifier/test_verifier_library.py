"""Through the real sandbox and simulator: for each library task a right kernel passes and its broken copy does not."""

from pathlib import Path

import pytest

from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from verifier.values import Status
from verifier.verify import verify

BROKEN = Path(__file__).with_name("broken")

FAULTS = {
    "relu": {Status.WRONG_VALUES, Status.LAUNCH_ERROR},
    "gelu_tanh": {Status.WRONG_VALUES},
    "softmax": {Status.WRONG_VALUES},
    "log_softmax": {Status.WRONG_VALUES, Status.NONDETERMINISTIC, Status.DATA_RACE},
    "layernorm": {Status.WRONG_VALUES},
    "rmsnorm": {Status.MEMORY_ERROR},
    "matmul": {Status.WRONG_VALUES, Status.NONDETERMINISTIC, Status.DATA_RACE},
    "linear_bias_gelu": {Status.WRONG_VALUES},
    "row_sum": {Status.WRONG_VALUES},
    "cross_entropy": {Status.WRONG_VALUES},
    "residual_layernorm": {Status.MUTATED_INPUT},
    "softmax_backward": {Status.WRONG_VALUES, Status.MEMORY_ERROR},
}


def _candidate(slug: str, name: str) -> Candidate:
    text = (BROKEN / name).read_text(encoding="utf-8")
    entry = "backward" if slug.endswith("backward") else "forward"
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),), entry=entry)


@pytest.mark.slow
@pytest.mark.parametrize("slug", FAULTS)
def test_a_right_kernel_passes(slug):
    verdict = verify(library_task(slug), _candidate(slug, f"{slug}.cu"), parse_device("sim:h100"), seed=20)
    assert verdict.status is Status.PASSED, verdict.checks[-1]


@pytest.mark.slow
@pytest.mark.parametrize("slug", FAULTS)
def test_its_broken_copy_fails_with_the_faults_own_status(slug):
    verdict = verify(library_task(slug), _candidate(slug, f"{slug}_broken.cu"), parse_device("sim:h100"), seed=20)
    assert verdict.status in FAULTS[slug], verdict.checks[-1]

"""Attention's backward over one key has gradients of exactly 0, of which a kernel may leave a rounding and no more."""

from pathlib import Path

import pytest

from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from tasks.manifest import read_manifest_task
from verifier.values import Status, Verdict
from verifier.verify import verify

FOLDER = Path(__file__).with_name("cancelling")
KERNEL = FOLDER / "attention_backward.cu"
PRODUCT = "product = warp_sum(product);"


def _verdict(text: str) -> Verdict:
    files = (SourceFile(name="kernel.cu", text=text),)
    candidate = Candidate(language=Language.CUDA, files=files, entry="backward")
    return verify(read_manifest_task(FOLDER / "attention_backward.py"), candidate, parse_device("sim:h100"), seed=20)


@pytest.mark.slow
def test_a_flash_backward_passes_over_one_key_too():
    verdict = _verdict(KERNEL.read_text(encoding="utf-8"))
    assert verdict.status is Status.PASSED, verdict.checks[-1]


@pytest.mark.slow
def test_one_that_does_not_quite_cancel_fails():
    text = KERNEL.read_text(encoding="utf-8")
    assert PRODUCT in text
    verdict = _verdict(text.replace(PRODUCT, "product = 0.999f * warp_sum(product);"))
    assert verdict.status is Status.WRONG_VALUES
    assert "length=1" in (verdict.checks[-1].workload or "")

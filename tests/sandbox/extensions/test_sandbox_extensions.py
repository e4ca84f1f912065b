"""Every source of the corpus builds with the light headers and computes, on a simulated card, what it should."""

from __future__ import annotations

import pytest
import torch

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.child.reference import from_torch, to_torch
from sandbox.devices import parse_device
from sandbox.settings import HeaderChoice
from sandbox.values import Candidate, ExitState, HeaderKind, Language, SourceFile
from tests.sandbox.extensions.case import SOURCES, Case
from tests.sandbox.extensions.corpus import CASES

H100 = parse_device("sim:h100")


def label(case: Case) -> str:
    types = "-".join(str(argument.dtype).removeprefix("torch.") for argument in case.drawn())
    return f"{case.name}-{case.entry}-{types}"


def test_every_source_has_a_case():
    assert {path.stem for path in SOURCES.iterdir()} == {case.name for case in CASES}
    assert len({case.name for case in CASES}) >= 40


@pytest.mark.parametrize("case", CASES, ids=label)
def test_it_builds_with_the_light_headers_and_computes_what_it_should(settings, case):
    source = SourceFile(name=f"{case.name}.cu", text=case.text())
    candidate = Candidate(language=Language.CUDA, files=(source,), entry=case.entry)
    light = settings.model_copy(update={"headers": HeaderChoice.LIGHT})
    built = build(candidate, "sm_90", light)
    assert built.headers is HeaderKind.LIGHT
    with open_candidate(built, H100, settings=light) as session:
        execution = session.call([from_torch(argument) for argument in case.drawn()])
    assert (execution.state, execution.message, execution.diagnostics) == (ExitState.OK, "", ())
    for output, expected in zip(execution.outputs, case.results(), strict=True):
        found = to_torch(output)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        torch.testing.assert_close(found.double(), expected.double(), rtol=case.tolerance, atol=case.tolerance)

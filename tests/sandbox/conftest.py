from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.build import build
from sandbox.isolation import BubblewrapIsolation, Isolation, ProcessIsolation, bubblewrap_problem, choose_isolation
from sandbox.settings import SandboxSettings
from sandbox.values import Build, Candidate, Language, SourceFile


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> SandboxSettings:
    """Settings with one build cache for the whole test session, so that each source is compiled once."""
    return SandboxSettings(cache_dir=tmp_path_factory.mktemp("cache"), call_seconds=30)


@pytest.fixture(scope="session")
def extension(settings: SandboxSettings) -> Callable[[str], Build]:
    """Builds an extension source for the simulated H100."""

    def make(text: str) -> Build:
        return build(cuda_candidate(text), "sm_90", settings)

    return make


@pytest.fixture(params=["process", "bubblewrap"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Each way to hold a process that works on this machine."""
    if request.param == "process":
        return ProcessIsolation()
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    chosen = choose_isolation()
    assert isinstance(chosen, BubblewrapIsolation)
    return chosen


def cuda_candidate(text: str, name: str = "kernel.cu") -> Candidate:
    return Candidate(language=Language.CUDA, files=(SourceFile(name=name, text=text),))


@pytest.fixture(scope="session")
def sources() -> Path:
    """Folder of the CUDA sources that these tests compile."""
    return Path(__file__).parent / "sources"

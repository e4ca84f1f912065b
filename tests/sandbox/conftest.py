from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.dockerd import Daemon, can_start, private_daemon
from sandbox.build import build
from sandbox.docker.engine import Engine
from sandbox.docker.image import make_image
from sandbox.docker.isolation import MAKER, DockerIsolation
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


IMAGE = "kernelwright-sandbox"


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Daemon]:
    """A Docker daemon of this session's own, with our image."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a Docker daemon")
    assert can_start(), "there is no dockerd; make system-packages installs it"
    with private_daemon() as daemon:
        make_image(Engine(daemon.host), IMAGE)
        yield daemon


@pytest.fixture
def docker(dockerd: Daemon, settings: SandboxSettings) -> Iterator[DockerIsolation]:
    """Containers of that daemon; a test that leaves one behind fails."""
    engine = Engine(dockerd.host)
    yield DockerIsolation(engine, IMAGE, settings.cache_dir)
    assert engine.containers(MAKER) == ()


@pytest.fixture(params=["process", "bubblewrap", pytest.param("docker", marks=pytest.mark.corpus)])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Each way to hold a process that works on this machine."""
    if request.param == "process":
        return ProcessIsolation()
    if request.param == "docker":
        return request.getfixturevalue("docker")
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

"""What a daemon says is not believed: whatever is not held runs nothing, and is told by its sentence."""

from __future__ import annotations

import socket
import sys

import pytest

from sandbox.docker.engine import Engine
from sandbox.docker.isolation import DockerIsolation
from sandbox.docker.rung import DockerRung
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import Mounts
from sandbox.isolation import choose_isolation, isolation_findings
from sandbox.process import HeldProcess
from sandbox.settings import IsolationChoice
from sandbox.values import Limits

IMAGE = "kernelwright-sandbox"


def problem(host, cache_dir, image=IMAGE):
    with pytest.raises(SandboxUnavailableError) as failure:
        DockerRung(host, image, cache_dir).isolation()
    return failure.value


@pytest.mark.parametrize(
    ("runs", "said"), [(True, "not the first process of a container"), (False, "nothing in the container answers")]
)
def test_a_daemon_that_does_not_contain_runs_nothing(liar, settings, tmp_path, runs, said):
    command = ["/bin/touch", str(tmp_path / "touched")]
    mounts = Mounts(writable=(tmp_path,))
    with liar(runs=runs) as host:
        assert said in problem(host, settings.cache_dir).problem
        isolation = DockerIsolation(Engine(host), IMAGE, settings.cache_dir)
        with pytest.raises(SandboxUnavailableError, match=said):
            HeldProcess(command, isolation=isolation, limits=Limits(), mounts=mounts)
    assert not (tmp_path / "touched").exists()


def test_without_a_daemon_the_remedy_is_to_start_one(settings, tmp_path):
    found = problem(f"unix://{tmp_path / 'none'}", settings.cache_dir)
    assert "no Docker daemon" in found.problem
    assert "systemctl start docker" in found.remedy


def test_a_socket_that_nobody_listens_at_is_no_daemon(settings, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    found = problem(f"unix://{tmp_path / 'dead'}", settings.cache_dir)
    assert found.problem == f"no Docker daemon answers at {tmp_path / 'dead'}: Connection refused"
    assert "systemctl start docker" in found.remedy


def test_a_daemon_of_another_machine_is_refused(settings):
    found = problem("tcp://192.0.2.1:2375", settings.cache_dir)
    assert "not reached through a socket of this machine" in found.problem
    assert "KERNELWRIGHT_DOCKER_HOST" in found.remedy


def test_docker_asked_for_by_name_never_ends_in_another_way(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNELWRIGHT_DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    with pytest.raises(SandboxUnavailableError, match=r"none was started \(docker: there is no Docker daemon"):
        choose_isolation(IsolationChoice.DOCKER)
    used, *rungs = isolation_findings(IsolationChoice.DOCKER)
    assert (used.ok, used.required) == (False, True)
    docker = next(rung for rung in rungs if rung.name == "isolation: docker")
    assert (docker.ok, docker.required) == (False, False)
    assert docker.remedy


def test_the_settings_name_daemon_and_image(monkeypatch, tmp_path, liar):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'usual'}")
    with pytest.raises(SandboxUnavailableError, match=f"{tmp_path / 'usual'} is not there"):
        choose_isolation(IsolationChoice.DOCKER)
    with liar(runs=False) as host:
        monkeypatch.setenv("KERNELWRIGHT_DOCKER_HOST", host)
        monkeypatch.setenv("KERNELWRIGHT_DOCKER_IMAGE", "absent")
        with pytest.raises(SandboxUnavailableError, match="there is no image `absent`"):
            choose_isolation(IsolationChoice.DOCKER)


def test_without_the_package_it_is_named(liar, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "docker.errors", None)  # what an installation without the extra looks like
    with liar(runs=False) as host:
        found = problem(host, settings.cache_dir)
    assert found.remedy == "pip install 'kernelwright[docker]'"

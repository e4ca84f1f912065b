from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.holding import Mounts, ProcessIsolation
from sandbox.isolation import BubblewrapIsolation, bubblewrap_problem, choose_isolation, isolation_findings, self_test
from sandbox.obstacles import remedy
from sandbox.process import HeldProcess
from sandbox.settings import IsolationChoice
from sandbox.values import Limits
from tasks.errors import InfraError

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path):
    """Writes a program that takes the place of bwrap."""

    def make(text, name="bwrap"):
        place = tmp_path / name
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o755)
        return place

    return make


def test_the_self_test_finds_the_holes_of_a_plain_process():
    assert self_test(ProcessIsolation()) != ""


ONLY_RUNS = 'while [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"'


def test_a_bwrap_that_only_runs_its_command_is_found_out(program, settings):
    isolation = BubblewrapIsolation(program(ONLY_RUNS), settings.cache_dir)
    assert "shares its parent's namespace" in self_test(isolation)


def test_below_a_bwrap_that_only_runs_its_command_nothing_runs(program, settings, tmp_path):
    isolation = BubblewrapIsolation(program(ONLY_RUNS), settings.cache_dir)
    command = ["/bin/touch", str(tmp_path / "touched")]
    mounts = Mounts(writable=(tmp_path,))
    with (
        HeldProcess(command, isolation=isolation, limits=Limits(), mounts=mounts) as process,
        pytest.raises(InfraError, match="cannot be held: hold: this process shares"),
    ):
        process.wait(20)
    assert not (tmp_path / "touched").exists()


def test_a_bwrap_that_does_nothing_and_says_it_did_is_found_out(program, settings):
    isolation = BubblewrapIsolation(program("exit 0"), settings.cache_dir)
    assert self_test(isolation) == "a sandboxed process cannot be held: it exited with code 0"


def test_a_bwrap_that_pretends_the_self_test_passed_is_found_out(program, settings):
    isolation = BubblewrapIsolation(program("echo '[]'; exit 0"), settings.cache_dir)
    assert "cannot be held" in self_test(isolation)


def test_a_bwrap_that_may_make_no_namespaces_is_a_problem_in_its_own_words(program, settings):
    isolation = BubblewrapIsolation(
        program("echo bwrap: No permissions to create new namespace >&2\nexit 1"), settings.cache_dir
    )
    assert self_test(isolation).endswith("bwrap: No permissions to create new namespace")


def test_a_missing_bwrap_is_a_problem(settings):
    assert "No such file" in self_test(BubblewrapIsolation(Path("/nonexistent/bwrap"), settings.cache_dir))


def test_without_any_bwrap_auto_runs_nothing_and_says_what_helps(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(
        InfraError, match=r"neither on PATH nor installed.* To remedy it: .*KERNELWRIGHT_ISOLATION=process"
    ):
        choose_isolation(IsolationChoice.AUTO)
    used, rung, *_ = isolation_findings(IsolationChoice.AUTO)
    assert (used.ok, used.required, rung.ok) == (False, True, False)


def test_a_program_on_path_that_fails_is_named_with_its_words(program, monkeypatch):
    place = program("echo bwrap: setting up uid map: Permission denied >&2\nexit 1")
    monkeypatch.setenv("PATH", f"{place.parent}:/usr/bin:/bin")
    monkeypatch.setattr("sys.path", [])  # the wheel's own program, where there is one, is out of sight
    said = "a sandboxed process cannot be held: bwrap: setting up uid map: Permission denied"
    assert bubblewrap_problem() == f"{place}: {said}"


def test_process_is_only_by_name():
    assert choose_isolation(IsolationChoice.PROCESS).name == "process"
    if bubblewrap_problem():
        for choice in (IsolationChoice.AUTO, IsolationChoice.BUBBLEWRAP):
            with pytest.raises(InfraError, match="nothing holds untrusted processes"):
                choose_isolation(choice)
    else:
        assert choose_isolation(IsolationChoice.AUTO).name == "bubblewrap"
        assert choose_isolation(IsolationChoice.BUBBLEWRAP).name == "bubblewrap"


def test_the_findings_say_when_nothing_isolates():
    used, *rungs = isolation_findings(IsolationChoice.PROCESS)
    assert "files and the network stay reachable" in used.detail
    assert {rung.name for rung in rungs} == {"isolation: bubblewrap", "isolation: docker", "isolation: process"}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (".dockerenv", "", "container"),
        ("run/.containerenv", "", "container"),
        ("proc/sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces"),
        ("proc/sys/kernel/unprivileged_userns_clone", "0\n", "kernel.unprivileged_userns_clone=1"),
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "apparmor_restrict"),
        ("proc/sys/user/max_user_namespaces", "15000\n", "another release"),
    ],
)
def test_the_remedy_fits_the_machine(tmp_path, file, text, said):
    place = tmp_path / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    assert said in remedy(tmp_path)
    assert "install bubblewrap" in remedy(tmp_path, installed=False)


NESTED = """
from sandbox.isolation import choose_isolation
from tasks.errors import InfraError
try:
    print(choose_isolation().name)
except InfraError as error:
    print(error)
"""


FOUND = """
from sandbox.isolation import isolation_findings
print([finding.detail for finding in isolation_findings() if finding.name == "isolation: bubblewrap"])
"""


def said_where(taking, program, settings) -> str:
    """Run a program of ours in another process, in namespaces that something was taken away from."""
    if os.geteuid() != 0:
        pytest.skip("only root can take anything away")
    *unshare, script = taking
    command = ["unshare", *unshare, "/bin/sh", "-c", f'{script}; exec "$@"', "sh", sys.executable, "-B", "-c", program]
    environment = {**os.environ, "KERNELWRIGHT_CACHE_DIR": str(settings.cache_dir)}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout


def test_without_user_namespaces_nothing_runs(settings):
    taking = ("--user", "--map-root-user", "echo 0 > /proc/sys/user/max_user_namespaces")
    said = said_where(taking, NESTED, settings)
    assert "so none was started" in said
    assert "To remedy it: allow user namespaces: sysctl -w user.max_user_namespaces=15000" in said


def test_without_control_groups_the_bounds_are_said_to_be_watched(settings):
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    taking = ("--mount", "umount -l /sys/fs/cgroup/unified /sys/fs/cgroup 2>/dev/null")
    assert "memory watched, not bounded by a group" in said_where(taking, FOUND, settings)


def test_where_namespaces_are_refused_nothing_runs():
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    # Our own sandbox is such a place: its filter refuses what bwrap needs.
    command = [sys.executable, "-I", "-B", "-c", NESTED]
    with HeldProcess(command, isolation=choose_isolation(), limits=Limits(), mounts=Mounts()) as process:
        said = process.wait(120).output
    assert "nothing holds untrusted processes on this machine, so none was started" in said
    assert "bwrap: " in said
    assert "To remedy it: " in said


class Elsewhere(ProcessIsolation):
    """Shows other folders than those that were asked for, as a daemon does that maps users or files."""

    def __init__(self, isolation, mounts):
        self._isolation = isolation
        self._mounts = mounts

    def launch(self, command, limits, mounts, home=None):
        del mounts
        return self._isolation.launch(command, limits, self._mounts, home)


def test_an_isolation_in_which_no_build_could_write_is_found_out():
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    isolation = Elsewhere(choose_isolation(), Mounts())
    assert self_test(isolation) == "the folder of a run cannot be written"

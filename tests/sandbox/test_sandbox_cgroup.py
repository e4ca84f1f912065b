from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandbox.cgroup import ControlGroup, ControlGroups
from sandbox.values import Limits

LIMITS = Limits(memory_bytes=1 << 30, processes=77)


@pytest.fixture
def hierarchy(tmp_path):
    """A tree of folders laid out as the kernel lays out groups; `user` hands its controllers on."""
    for name, handed_on in (("", "memory"), ("user", "cpu memory pids"), ("user/shell", "")):
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "cgroup.procs").touch()
        (place / "cgroup.subtree_control").write_text(handed_on + "\n")
    return tmp_path


def test_the_nearest_group_that_hands_its_controllers_on_is_taken(hierarchy):
    groups = ControlGroups(hierarchy, "/user/shell")
    assert (groups.place, groups.bounded) == (hierarchy / "user", True)


def test_a_group_of_its_own_bounds_memory_and_processes(hierarchy):
    group = ControlGroups(hierarchy, "/user/shell").open(LIMITS)
    assert group.folder.parent == hierarchy / "user"
    written = {file.name: file.read_text() for file in group.folder.iterdir()}
    assert written == {
        "memory.max": str(1 << 30),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "77",
    }


def test_without_controllers_a_group_only_ends_its_processes(hierarchy):
    (hierarchy / "user" / "cgroup.subtree_control").write_text("\n")
    groups = ControlGroups(hierarchy, "/user/shell")
    assert (groups.place, groups.bounded) == (hierarchy / "user" / "shell", False)
    assert list(groups.open(LIMITS).folder.iterdir()) == []


def test_without_permission_there_is_no_group(tmp_path):
    groups = ControlGroups(tmp_path, "/nowhere")
    assert groups.place is None
    assert groups.open(LIMITS) is None
    assert groups.sweep() == ()


@pytest.mark.parametrize(("events", "ran_out"), [("oom 1\noom_kill 1\n", True), ("oom 3\noom_kill 0\n", False)])
def test_the_kernels_kills_are_counted(tmp_path, events, ran_out):
    (tmp_path / "memory.events").write_text(events)
    assert ControlGroup(tmp_path, bounded=True).ran_out_of_memory() is ran_out
    assert not ControlGroup(tmp_path, bounded=False).ran_out_of_memory()


def test_a_sweep_removes_the_groups_of_processes_that_are_gone_and_no_others(hierarchy):
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    groups = ControlGroups(hierarchy, "/user")
    theirs = hierarchy / "user" / f"kernelwright-{gone.pid}-abc"
    ours = hierarchy / "user" / f"kernelwright-{os.getpid()}-abc"
    for folder in (theirs, ours):
        folder.mkdir()
    assert groups.sweep() == (theirs,)
    assert ours.exists()


def test_a_real_group_ends_everything_in_it_and_is_removed():
    groups = ControlGroups.here()
    group = groups.open(LIMITS) if groups else None
    if group is None:
        pytest.skip("no control group of version 2 may be made here")
    entered = f"echo 0 > {group.entrance}; exec sleep 600"
    with subprocess.Popen(["/bin/sh", "-c", f"(setsid sh -c '{entered}' &) ; sleep 0.3"]):
        pass
    assert group.remove()
    assert not group.folder.exists()
    assert not any(runs_in(group, entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def runs_in(group: ControlGroup, process: Path) -> bool:
    try:
        dead = ") Z " in (process / "stat").read_text()  # its new parent has not reaped it yet
        return not dead and group.folder.name in (process / "cgroup").read_text()
    except OSError:
        return False

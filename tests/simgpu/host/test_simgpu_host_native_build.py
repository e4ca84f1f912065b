"""The stand-in is compiled once per source, also when several processes want it at once."""

import subprocess
import sys

import pytest

from simgpu.cudart.native_build import StandInBuildError, build_standin


def test_a_second_build_finds_the_first(tmp_path):
    first = build_standin(tmp_path)
    written = first.stat().st_mtime_ns
    assert build_standin(tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert [one.name for one in first.parent.iterdir()] == ["libcudart.so.13"]


def test_processes_may_build_at_once(tmp_path):
    script = "import sys, pathlib; from simgpu.cudart.native_build import build_standin; print(build_standin(pathlib.Path(sys.argv[1])))"
    running = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert set(outputs) == {str(build_standin(tmp_path))}


def test_no_compiler_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(StandInBuildError, match="no C\\+\\+ compiler: install g\\+\\+"):
        build_standin(tmp_path)

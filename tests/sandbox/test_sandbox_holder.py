from __future__ import annotations

import os
import subprocess

import pytest

from sandbox.holder import build_holder
from tasks.errors import InfraError


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Puts a script in the place of g++."""

    def make(text):
        place = tmp_path / "bin" / "g++"
        place.parent.mkdir()
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place.parent}:/usr/bin:/bin")

    return make


def test_it_is_compiled_once_and_for_everybody(tmp_path):
    program = build_holder(tmp_path)
    made = program.stat().st_mtime_ns
    build_holder.cache_clear()
    assert build_holder(tmp_path).stat().st_mtime_ns == made
    assert program.stat().st_mode & 0o777 == 0o755


def test_where_static_linking_fails_it_is_linked_as_usual(tmp_path, compiler):
    compiler('case "$*" in *-static*) echo no libc.a >&2; exit 1;; esac; exec /usr/bin/g++ "$@"')
    program = build_holder(tmp_path / "cache")
    command = [str(program), "join", "-", str(os.getpid()), "--", "/bin/echo", "held"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_a_compiler_that_fails_is_a_sentence(tmp_path, compiler):
    compiler("echo it is broken >&2; exit 1")
    with pytest.raises(InfraError, match=r"does not compile with .*: it is broken"):
        build_holder(tmp_path / "cache")


def test_without_a_compiler_there_is_no_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match=r"no g\+\+"):
        build_holder(tmp_path / "cache")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the arguments"),
        (["join", "-", "1", "--"], "the arguments"),
        (["join", "-", "1", "--", "/bin/true"], "the parent is gone"),
        (["bound", "cpu=x", "--", "/bin/true"], "the number `x`"),
        (["bound", "colour=red", "--", "/bin/true"], "the setting `colour`"),
        (["watch", "--", "/bin/true"], "the mode `watch`"),
    ],
)
def test_what_it_does_not_understand_runs_nothing(settings, arguments, said):
    program = build_holder(settings.cache_dir)
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert said in done.stderr

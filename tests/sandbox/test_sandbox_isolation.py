from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.isolation import BubblewrapIsolation, ProcessIsolation, bubblewrap_problem, choose_isolation, self_test
from sandbox.settings import IsolationChoice
from tasks.errors import InfraError


def test_the_self_test_finds_the_holes_of_a_plain_process():
    assert self_test(ProcessIsolation()) != ""


def test_a_bwrap_that_only_runs_its_command_is_found_out(tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n')
    fake.chmod(0o755)
    assert self_test(BubblewrapIsolation(fake)) != ""


def test_a_bwrap_that_fails_is_a_problem_in_its_own_words(tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho no namespaces here >&2\nexit 1\n")
    fake.chmod(0o755)
    assert self_test(BubblewrapIsolation(fake)) == "no namespaces here"


def test_a_missing_bwrap_is_a_problem():
    assert "No such file" in self_test(BubblewrapIsolation(Path("/nonexistent/bwrap")))


def test_the_choice_is_what_is_asked_for():
    assert choose_isolation(IsolationChoice.PROCESS).name == "process"
    if bubblewrap_problem():
        assert choose_isolation(IsolationChoice.AUTO).name == "process"
        with pytest.raises(InfraError, match="bubblewrap does not hold"):
            choose_isolation(IsolationChoice.BUBBLEWRAP)
    else:
        assert choose_isolation(IsolationChoice.AUTO).name == "bubblewrap"
        assert choose_isolation(IsolationChoice.BUBBLEWRAP).name == "bubblewrap"

"""The real evaluator over a laboratory in memory, and trying again when the machine fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from agent.evaluation import LocalEvaluator
from agent.locks import LockHeldError, held, held_now, is_held
from agent.retrying import evaluate_with_retries
from agent.scripted import ScriptedEvaluator
from sandbox.values import BuildError, BuildErrorKind, Launch
from tasks.errors import InfraError
from tasks.values import EagerOp
from tests.agent.samples import candidate, kernel, sample_task
from verifier.fake import InMemoryLaboratory
from verifier.values import Status

OPS = (EagerOp(name="aten::relu", shapes=((4096, 8),), bytes_read=131072, bytes_written=131072, flops=32768),)


def laboratory(compute=lambda x: np.maximum(x, 0), **changes: object) -> InMemoryLaboratory:
    return InMemoryLaboratory(
        lambda arrays: (np.maximum(arrays["x"], 0),),
        lambda call: (compute(call.arguments[0]),),
        eager_ops=OPS,
        launches=(Launch(kernel="fake_kernel", grid=(1, 1, 1), block=(1, 1, 1), dynamic_shared=0),),
        **changes,
    )


def evaluate(lab: InMemoryLaboratory):
    return LocalEvaluator(lab).evaluate(sample_task(), candidate(kernel("")), "sim:h100", seed=3)


def test_what_passes_is_timed():
    outcome = evaluate(laboratory())
    assert outcome.verdict.status is Status.PASSED, outcome.verdict.checks
    assert outcome.measurement is not None
    assert outcome.measurement.device == "sim:h100"


def test_what_fails_is_not_timed():
    outcome = evaluate(laboratory(lambda x: x))
    assert (outcome.verdict.status, outcome.measurement) == (Status.WRONG_VALUES, None)


def test_what_does_not_build_is_a_compile_error():
    error = BuildError(BuildErrorKind.SYNTAX, "kernel.cu(3): expected a `;`", "log")
    assert evaluate(laboratory(build_error=error)).verdict.status is Status.COMPILE_ERROR


def test_a_pass_is_taken_back_when_the_kernel_cannot_be_timed():
    outcome = evaluate(laboratory(microseconds=(0.0001,)))
    assert outcome.measurement is None
    assert not outcome.verdict.passed
    assert outcome.verdict.checks[-1].name == "bench"
    assert outcome.verdict.checks[-1].detail != ""


def fails_times(count: int) -> ScriptedEvaluator:
    left = [count]

    def before(_: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise InfraError(f"failure {left[0]}")

    return ScriptedEvaluator(before)


def test_tries_end_with_the_first_outcome_and_keep_the_reasons():
    args = (fails_times(2), sample_task(), candidate(kernel("")), "sim:h100", 1)
    evaluated = evaluate_with_retries(*args, retries=2, wait_seconds=0)
    assert evaluated.failures == ("failure 1", "failure 0")
    with pytest.raises(InfraError, match="failed 2 times, at last with: failure 8"):
        evaluate_with_retries(fails_times(10), *args[1:], retries=1, wait_seconds=0)


def test_waits_between_tries_double():
    start = time.monotonic()
    args = (fails_times(2), sample_task(), candidate(kernel("")), "sim:h100", 1)
    evaluate_with_retries(*args, retries=2, wait_seconds=0.1)
    assert time.monotonic() - start >= 0.3


@pytest.mark.usefixtures("settings")
def test_a_lock_is_held_by_one_and_free_afterwards():
    with held("a"):
        assert is_held("a")
        assert not is_held("b")
        with pytest.raises(LockHeldError), held_now("a"):
            pass
    assert not is_held("a")


@pytest.mark.usefixtures("settings")
def test_a_waiting_lock_is_had_once_it_is_free():
    order = []

    def wait() -> None:
        with held("a"):
            order.append("second")

    with held("a"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]

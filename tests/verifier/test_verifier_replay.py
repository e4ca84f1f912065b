"""A verdict made again is the same bit for bit, or the replay says in what it differs."""

import numpy as np
import pytest

from sandbox.values import Diagnostic
from verifier.environment import present_environment
from verifier.fake import InMemoryLaboratory
from verifier.replay import compare_verdicts


def laboratory(noise=0.0):
    def kernel(call):
        out = call.arguments[0] * np.float32(2)
        out.reshape(-1)[0] += np.float32(noise)
        return (out,)

    return InMemoryLaboratory(lambda arrays: (arrays["x"] * 2,), kernel)


def test_the_same_verdict_twice_is_identical_although_its_seconds_differ(make_task, judge):
    first, again = (judge(make_task(), laboratory()) for _ in range(2))
    replay = compare_verdicts(first, again)
    assert replay.identical
    assert replay.environment == ()
    assert all(check.outputs for check in first.checks if check.name.startswith("values"))


def test_an_output_that_differs_in_its_last_bit_is_named(make_task, judge):
    first, again = judge(make_task(), laboratory()), judge(make_task(), laboratory(noise=1e-7))
    replay = compare_verdicts(first, again)
    assert not replay.identical
    assert any(difference.where.startswith("values[normal] at rows=8") for difference in replay.differences)


@pytest.mark.parametrize(("field", "value"), [("seed", 1), ("device", "sim:l4"), ("task_hash", "0")])
def test_a_field_that_differs_is_named(make_task, judge, field, value):
    first = judge(make_task(), laboratory())
    changed = first.model_copy(update={field: value})
    assert [difference.where for difference in compare_verdicts(first, changed).differences] == [field]


def test_addresses_differ_from_process_to_process_but_nothing_else_of_a_fault_may(make_task, judge):
    def faulty(address, thread):
        seen = Diagnostic(kind="out_of_bounds", kernel="k", thread=thread, message=f"load at {address:#x}")
        return judge(make_task(), laboratory()).model_copy(update={"diagnostics": (seen,)})

    recorded = faulty(0x7F00, (3, 0, 0))
    assert compare_verdicts(recorded, faulty(0x8F00, (3, 0, 0))).identical
    assert not compare_verdicts(recorded, faulty(0x7F00, (4, 0, 0))).identical


def test_a_missing_check_is_a_difference(make_task, judge):
    first = judge(make_task(), laboratory())
    shorter = first.model_copy(update={"checks": first.checks[:-1]})
    (difference,) = compare_verdicts(first, shorter).differences
    assert difference.found == "none"


def test_another_simulator_is_named_without_being_a_difference(make_task, judge):
    first = judge(make_task(), laboratory())
    older = first.model_copy(update={"environment": present_environment().model_copy(update={"simulator": "older"})})
    replay = compare_verdicts(older, first)
    assert replay.identical
    assert {difference.where for difference in replay.environment} >= {"simulator"}

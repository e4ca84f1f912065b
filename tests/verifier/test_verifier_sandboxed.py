import pytest

from tasks.loading import library_task
from verifier.sandboxed import SandboxLaboratory


def test_a_reference_serves_the_next_verdict_of_its_task_whatever_became_of_the_last():
    relu, softmax = library_task("relu"), library_task("softmax")
    with SandboxLaboratory() as laboratory:
        with laboratory.reference(relu, None) as first, laboratory.reference(relu, None) as at_once:
            assert first is not at_once
        with pytest.raises(ZeroDivisionError), laboratory.reference(relu, None) as failed:
            raise ZeroDivisionError
        with laboratory.reference(softmax, None) as other:
            assert other not in {first, at_once}
        with laboratory.reference(relu, None) as again:
            assert again is failed


def test_a_prepared_reference_is_the_one_that_serves():
    relu = library_task("relu")
    with SandboxLaboratory() as laboratory:
        laboratory.prepare(relu)
        laboratory.prepare(relu)
        with laboratory.reference(relu, None) as first, laboratory.reference(relu, None) as second:
            assert first is not second
        laboratory.prepare(relu)
        with laboratory.reference(relu, None) as again:
            assert again in {first, second}


def test_references_used_last_are_kept_and_no_more_than_asked_for():
    relu, row_sum = library_task("relu"), library_task("row_sum")
    with SandboxLaboratory(kept=1) as laboratory:
        sessions = []
        for task in (relu, relu, row_sum, row_sum, relu):
            with laboratory.reference(task, None) as session:
                sessions.append(session)
        assert [one is sessions[0] for one in sessions] == [True, True, False, False, False]
        assert sessions[2] is sessions[3]

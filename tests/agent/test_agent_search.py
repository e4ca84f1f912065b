"""The search on a real archive, with scripted proposer and evaluator."""

from __future__ import annotations

import threading
import time

import pytest

from agent.scripted import ScriptedEvaluator, ScriptedProposer
from agent.search import run_search
from agent.settings import AgentSettings
from agent.values import Proposal, ProposalRequest
from dataset.archive import Archive
from dataset.values import Operator, RunRecord, RunState, Trace, TraceKind
from tasks.errors import InfraError, UserError
from tasks.values import Visibility
from tests.agent.samples import candidate, kernel, sample_config, shape, write
from verifier.values import Status


def search(
    archive: Archive,
    settings: AgentSettings,
    proposer=None,
    evaluator=None,
    run: RunRecord | None = None,
    **config: object,
) -> RunRecord:
    """Search, and return the run as it is recorded, failed ones too."""
    run = run or archive.create_run(sample_config(**config))
    try:
        return run_search(
            archive,
            run.id,
            proposer or ScriptedProposer(write),
            evaluator=evaluator or ScriptedEvaluator(),
            settings=settings,
        )
    except (UserError, InfraError):
        failed = archive.run(run.id)
        if failed.state is not RunState.FAILED:
            raise
        return failed


def test_a_run_translates_repairs_and_evolves(archive: Archive, settings: AgentSettings):
    run = search(archive, settings)
    attempts = archive.attempts(run.id)
    assert run.state is RunState.FINISHED
    assert run.message == ""
    assert [a.number for a in attempts] == list(range(9))
    assert [a.generation for a in attempts] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [a.operator for a in attempts[:3]] == [Operator.TRANSLATE, Operator.TRANSLATE, Operator.REPAIR]
    assert attempts[2].parents == (1,)
    assert attempts[3].parents == (2,), "slot 0 mutates the fastest"
    assert all(a.verdict is not None for a in attempts)
    best = max(attempts, key=lambda a: a.measurement.speedup if a.measurement else 0)
    assert run.best_attempt == best.number


def test_the_same_seed_gives_the_same_attempts_whatever_finishes_first(archive: Archive, settings: AgentSettings):
    slow_first = ScriptedEvaluator(before=lambda c: time.sleep(0.05 if "int i0" in c.files[0].text else 0))
    wide = settings.model_copy(update={"evaluations": 4})
    narrow = settings.model_copy(update={"evaluations": 1})
    first = search(archive, wide, evaluator=slow_first)
    second = search(archive, narrow)
    assert shape(archive.attempts(first.id)) == shape(archive.attempts(second.id))
    other = search(archive, narrow, seed=8)
    assert shape(archive.attempts(first.id)) != shape(archive.attempts(other.id))


def test_evaluations_of_a_round_run_at_the_same_time(archive: Archive, settings: AgentSettings):
    together = threading.Barrier(2, timeout=10)
    evaluator = ScriptedEvaluator(before=lambda _: together.wait() and None)
    run = search(archive, settings.model_copy(update={"evaluations": 2}), evaluator=evaluator, generations=0, repairs=0)
    assert run.state is RunState.FINISHED


def test_the_same_source_is_evaluated_once(archive: Archive, settings: AgentSettings):
    evaluator = ScriptedEvaluator()
    run = search(archive, settings, ScriptedProposer(lambda _: kernel("speedup=1.5")), evaluator)
    attempts = archive.attempts(run.id)
    assert len(evaluator.evaluated) == 1
    assert len(attempts) == 8
    assert all(a.verdict == attempts[0].verdict for a in attempts)
    notes = [event.text for event in archive.events(run.id) if event.kind == "note"]
    assert "attempt 1 is the same source as 0" in notes


def test_a_proposer_never_sees_hidden_workloads_or_seeds(archive: Archive, settings: AgentSettings):
    proposer = ScriptedProposer(write)
    search(archive, settings, proposer)
    for request in proposer.requests:
        assert all(w.visibility is Visibility.PUBLIC for w in request.task.workloads)
        assert "7919" not in request.model_dump_json()
        assert all(parent.verdict.seed == 0 for parent in request.parents)
    repair = next(r for r in proposer.requests if r.operator is Operator.REPAIR)
    assert "the script says wrong_values" in repair.feedback


def test_a_proposal_without_code_is_recorded_and_asked_for_again(archive: Archive, settings: AgentSettings):
    run = search(
        archive,
        settings,
        ScriptedProposer(lambda r: None if r.ordinal == 0 else kernel("speedup=1.1", str(r.ordinal))),
        samples=1,
        generations=0,
    )
    first, second = archive.attempts(run.id)
    assert first.candidate is None
    assert first.problem.startswith("no code")
    assert (second.operator, second.generation, run.best_attempt) == (Operator.TRANSLATE, 0, 1)


def test_nothing_passed_is_said_and_later_generations_translate_again(archive: Archive, settings: AgentSettings):
    run = search(
        archive, settings, ScriptedProposer(lambda r: kernel("status=timeout", str(r.seed))), generations=1, repairs=0
    )
    assert (run.state, run.message, run.best_attempt) == (RunState.FINISHED, "no candidate passed", None)
    assert {a.operator for a in archive.attempts(run.id)} == {Operator.TRANSLATE}


class Flaky:
    """Fails for the machine's fault so many times, then judges."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.inner = ScriptedEvaluator()
        self.prepared = []

    def prepare(self, task):
        self.prepared.append(task)

    def evaluate(self, task, candidate, device, seed):
        if self.failures > 0:
            self.failures -= 1
            raise InfraError("the disk is full")
        return self.inner.evaluate(task, candidate, device, seed)


def test_a_failing_machine_is_tried_again_and_never_scored(archive: Archive, settings: AgentSettings):
    one = settings.model_copy(update={"evaluations": 1, "evaluation_retries": 2})
    flaky = Flaky(2)
    run = search(archive, one, evaluator=flaky)
    assert run.state is RunState.FINISHED
    assert flaky.prepared == [run.config.task]
    notes = [event.text for event in archive.events(run.id) if event.kind == "note"]
    assert notes.count("attempt 0 was evaluated again: the disk is full") == 2


def test_a_machine_that_keeps_failing_fails_the_run_which_can_be_resumed(archive: Archive, settings: AgentSettings):
    one = settings.model_copy(update={"evaluations": 1, "evaluation_retries": 1})
    undisturbed = search(archive, one)
    failed = search(archive, one, evaluator=Flaky(1000))
    assert failed.state is RunState.FAILED
    assert failed.message == "the evaluation failed 2 times, at last with: the disk is full"
    assert all(a.verdict is None for a in archive.attempts(failed.id))
    resumed = search(archive, one, run=failed)
    assert resumed.state is RunState.FINISHED
    assert shape(archive.attempts(resumed.id)) == shape(archive.attempts(undisturbed.id))


def test_an_infra_error_verdict_counts_as_the_machines_failure(archive: Archive, settings: AgentSettings):
    run = search(archive, settings, ScriptedProposer(lambda _: kernel(f"status={Status.INFRA_ERROR.value}")))
    assert run.state is RunState.FAILED
    assert archive.attempts(run.id)[0].verdict is None


class Failing:
    """A proposer that fails from its n-th call on."""

    name = "scripted"

    def __init__(self, error: Exception, after: int) -> None:
        self.error = error
        self.left = after
        self.inner = ScriptedProposer(write)

    def propose(self, request: ProposalRequest) -> Proposal:
        if self.left == 0:
            raise self.error
        self.left -= 1
        return self.inner.propose(request)


@pytest.mark.parametrize("error", [UserError("the key is refused"), InfraError("the endpoint is down")])
def test_a_proposers_error_fails_the_run_with_its_sentence_and_keeps_what_was_made(
    archive: Archive, settings: AgentSettings, error: Exception
):
    run = search(archive, settings, Failing(error, after=1))
    assert (run.state, run.message) == (RunState.FAILED, str(error))
    (attempt,) = archive.attempts(run.id)
    assert attempt.verdict is not None
    resumed = search(archive, settings, run=run)
    assert shape(archive.attempts(resumed.id)) == shape(archive.attempts(search(archive, settings).id))


@pytest.mark.parametrize("stop_at", range(9))
def test_a_run_that_dies_anywhere_ends_like_one_that_did_not(archive: Archive, settings: AgentSettings, stop_at: int):
    expected = shape(archive.attempts(search(archive, settings).id))
    run = archive.create_run(sample_config())
    with pytest.raises(ZeroDivisionError):
        search(archive, settings, Failing(ZeroDivisionError(), after=stop_at), run=run)
    recorded = {a.number for a in archive.attempts(run.id)}
    judged = {a.candidate.content_hash for a in archive.attempts(run.id) if a.candidate and a.verdict}
    proposer, evaluator = ScriptedProposer(write), ScriptedEvaluator()
    search(archive, settings, proposer, evaluator, run=run)
    assert shape(archive.attempts(run.id)) == expected
    assert len(proposer.requests) == len(expected) - len(recorded), "a recorded proposal is not asked for again"
    assert judged.isdisjoint(evaluator.evaluated), "a recorded outcome is not evaluated again"


def test_a_finished_run_taken_up_again_does_nothing(archive: Archive, settings: AgentSettings):
    run = search(archive, settings)
    proposer, evaluator = ScriptedProposer(write), ScriptedEvaluator()
    again = search(archive, settings, proposer, evaluator, run=run)
    assert (again.state, again.best_attempt) == (RunState.FINISHED, run.best_attempt)
    bests = [event.attempt for event in archive.events(run.id) if event.kind == "best"]
    assert len(bests) == len(set(bests)), "what was best on the way is not told again"
    assert proposer.requests == []
    assert evaluator.evaluated == []


def test_a_cancelled_run_stops_between_attempts_and_can_be_taken_up(archive: Archive, settings: AgentSettings):
    run = archive.create_run(sample_config())

    def cancel_at_first(request: ProposalRequest) -> str:
        archive.set_state(run.id, RunState.CANCELLED, "by the user")
        return write(request)

    stopped = search(archive, settings, ScriptedProposer(cancel_at_first), run=run)
    assert (stopped.state, stopped.message) == (RunState.CANCELLED, "by the user")
    assert len(archive.attempts(run.id)) == 1
    resumed = search(archive, settings, run=stopped)
    assert resumed.state is RunState.FINISHED
    assert len(archive.attempts(run.id)) == 9


def test_an_interrupt_from_the_keyboard_cancels(archive: Archive, settings: AgentSettings):
    run = archive.create_run(sample_config())
    with pytest.raises(KeyboardInterrupt):
        search(archive, settings, Failing(KeyboardInterrupt(), after=2), run=run)  # type: ignore[arg-type]
    assert archive.run(run.id).state is RunState.CANCELLED


def test_two_processes_do_not_work_on_one_run(archive: Archive, settings: AgentSettings):
    run = archive.create_run(sample_config())

    def enter_again(request: ProposalRequest) -> str:
        with pytest.raises(UserError, match="being worked on by another process"):
            search(archive, settings, run=run)
        return write(request)

    assert search(archive, settings, ScriptedProposer(enter_again), run=run).state is RunState.FINISHED


class Costly:
    """A model-like proposer whose every call uses 100 tokens and costs 0.25 USD."""

    name = "costly"

    def __init__(self, cost: float = 0.25) -> None:
        self.cost = cost

    def propose(self, request: ProposalRequest) -> Proposal:
        trace = Trace(
            kind=TraceKind.MODEL, model="costly", messages=(), input_tokens=60, output_tokens=40, cost_usd=self.cost
        )
        return Proposal(operator=request.operator, candidate=candidate(write(request)), trace=trace)


@pytest.mark.parametrize(
    ("limit", "attempts", "message"),
    [
        ({"budget_usd": 0.5}, 2, "stopped at its budget: 0.5000 of 0.5 USD spent"),
        ({"budget_tokens": 250}, 3, "stopped at its budget: 300 of 250 tokens used"),
        ({"budget_usd": 0.0}, 0, "stopped at its budget: 0.0000 of 0 USD spent"),
    ],
)
def test_a_budget_ends_a_run_cleanly(archive: Archive, settings: AgentSettings, limit, attempts: int, message: str):
    run = search(archive, settings, Costly(), **limit)
    assert (run.state, run.message) == (RunState.FINISHED, message)
    assert len(archive.attempts(run.id)) == attempts
    assert all(a.verdict is not None for a in archive.attempts(run.id))
    again = search(archive, settings, Costly(), run=run)
    assert (again.state, len(archive.attempts(run.id))) == (RunState.FINISHED, attempts), "what was spent still counts"


def test_a_run_stops_after_its_seconds(archive: Archive, settings: AgentSettings):
    slow = ScriptedEvaluator(before=lambda _: time.sleep(0.2))
    run = search(archive, settings, evaluator=slow, max_seconds=0.1)
    assert (run.state, run.message) == (RunState.FINISHED, "stopped after its 0.1 seconds")
    assert 1 <= len(archive.attempts(run.id)) < 9


def test_an_unknown_price_is_said_once(archive: Archive, settings: AgentSettings):
    run = search(archive, settings, Costly(cost=0.0))
    notes = [event.text for event in archive.events(run.id) if "no price is known for costly" in event.text]
    assert len(notes) == 1


def test_events_tell_the_story_in_order(archive: Archive, settings: AgentSettings):
    run = archive.create_run(sample_config(samples=1, generations=0))
    seen = []
    run_search(
        archive,
        run.id,
        ScriptedProposer(write),
        evaluator=ScriptedEvaluator(),
        on_event=seen.append,
        settings=settings,
    )
    assert [(event.kind, event.attempt) for event in seen] == [
        ("state", None),
        ("proposed", 0),
        ("evaluated", 0),
        ("best", 0),
        ("state", None),
    ]
    assert tuple(seen) == archive.events(run.id)


def test_calls_of_a_model_overlap_and_are_recorded_in_order(archive: Archive, settings: AgentSettings):
    together = threading.Barrier(2, timeout=10)

    def write_together(request: ProposalRequest) -> str:
        together.wait()
        return write(request)

    wide = settings.model_copy(update={"model_calls": 2})
    run = search(archive, wide, ScriptedProposer(write_together), generations=0, repairs=0)
    assert run.state is RunState.FINISHED
    proposed = [event.attempt for event in archive.events(run.id) if event.kind == "proposed"]
    assert proposed == [0, 1]
    narrow = archive.attempts(search(archive, settings, generations=0, repairs=0).id)
    assert shape(archive.attempts(run.id)) == shape(narrow)


def test_a_budget_is_checked_before_each_call_although_calls_may_overlap(archive: Archive, settings: AgentSettings):
    wide = settings.model_copy(update={"model_calls": 4})
    run = search(archive, wide, Costly(), samples=4, budget_usd=0.25)
    assert len(archive.attempts(run.id)) == 1


def test_an_error_among_overlapping_calls_loses_no_answer(archive: Archive, settings: AgentSettings):
    both = threading.Barrier(2, timeout=10)

    class FirstFails(Failing):
        def propose(self, request: ProposalRequest) -> Proposal:
            both.wait()
            if request.ordinal == 0:
                raise self.error
            return self.inner.propose(request)

    wide = settings.model_copy(update={"model_calls": 2})
    run = search(archive, wide, FirstFails(InfraError("down"), after=0), generations=0, repairs=0)
    assert (run.state, run.message) == (RunState.FAILED, "down")
    (kept,) = archive.attempts(run.id)
    assert (kept.number, kept.verdict is not None) == (1, True)
    search(archive, settings, run=run)
    undisturbed = search(archive, settings, generations=0, repairs=0)
    assert shape(archive.attempts(run.id)) == shape(archive.attempts(undisturbed.id))

"""The archive on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, func, select

from dataset.archive import Archive
from dataset.engine import parse_url
from dataset.models import CandidateRow, TaskRow
from dataset.queries import KernelOrder
from dataset.values import Operator, RunConfig, RunState
from sandbox.values import Basis
from tasks.errors import UserError
from verifier.values import Status


def _propose(archive, samples, run_id, number, **overrides):
    arguments = {
        "generation": 0,
        "operator": Operator.TRANSLATE,
        "parents": (),
        "candidate": samples.candidate(f"// {number}"),
        "trace": samples.trace(),
    }
    return archive.record_proposal(run_id, number, **(arguments | overrides))


def _count(archive, table) -> int:
    engine = create_engine(parse_url(archive.url))
    with engine.connect() as connection:
        counted = connection.scalar(select(func.count()).select_from(table))
    engine.dispose()
    return counted


def test_a_run_comes_back_as_it_was_stored(archive, samples):
    config = samples.config(seed=2**64 + 1)
    stored = archive.create_run(config)
    assert stored.config == config
    assert stored.state is RunState.QUEUED
    assert archive.run(stored.id) == stored
    assert archive.run(stored.id).config.task.content_hash == config.task.content_hash


def test_a_content_hash_survives_the_database_though_it_depends_on_the_order_of_keys(archive, samples):
    run = archive.create_run(samples.config())
    assert list(archive.run(run.id).config.task.workloads[0].axes) == ["zebra", "rows"]


def test_runs_are_listed_newest_first(archive, samples):
    ids = [archive.create_run(samples.config(seed=seed)).id for seed in range(4)]
    assert [run.id for run in archive.runs(3)] == ids[:0:-1]


def test_creating_a_run_again_returns_it_and_another_configuration_is_refused(archive, samples):
    first = archive.create_run(samples.config(), "night")
    assert archive.create_run(samples.config(), "night") == first
    with pytest.raises(UserError, match="night exists with another configuration"):
        archive.create_run(samples.config(seed=9), "night")


def test_an_unknown_run_is_a_sentence_everywhere(archive, samples):
    calls = [
        lambda: archive.run("nope"),
        lambda: archive.set_state("nope", RunState.RUNNING),
        lambda: archive.set_best("nope", 0),
        lambda: archive.attempts("nope"),
        lambda: archive.attempt("nope", 0),
        lambda: archive.events("nope"),
        lambda: archive.add_event("nope", "note", "hello"),
        lambda: _propose(archive, samples, "nope", 0),
    ]
    for call in calls:
        with pytest.raises(UserError, match="no run 'nope'"):
            call()


def test_states_follow_each_other_and_an_ended_run_can_be_resumed(archive, samples):
    run = archive.create_run(samples.config())
    assert archive.set_state(run.id, RunState.RUNNING).finished_at is None
    ended = archive.set_state(run.id, RunState.FAILED, "no room")
    assert ended.finished_at is not None
    assert ended.message == "no room"
    resumed = archive.set_state(run.id, RunState.RUNNING)
    assert (resumed.finished_at, resumed.message) == (None, "")


def test_a_state_named_in_unless_stands(archive, samples):
    run = archive.create_run(samples.config())
    archive.set_state(run.id, RunState.CANCELLED)
    assert archive.set_state(run.id, RunState.RUNNING, unless={RunState.CANCELLED}).state is RunState.CANCELLED


def test_an_attempt_comes_back_whole_with_its_outcome(archive, samples):
    run = archive.create_run(samples.config())
    candidate = samples.candidate()
    _propose(archive, samples, run.id, 0)
    stored = _propose(
        archive, samples, run.id, 1, parents=(0,), operator=Operator.MUTATE, generation=1, candidate=candidate
    )
    assert (stored.parents, stored.verdict, stored.measurement) == ((0,), None, None)
    verdict, measurement = samples.verdict(candidate), samples.measurement(candidate)
    whole = archive.record_outcome(run.id, 1, verdict, measurement)
    assert (whole.verdict, whole.measurement) == (verdict, measurement)
    assert whole.candidate == candidate
    assert archive.attempt(run.id, 1) == whole
    assert [attempt.number for attempt in archive.attempts(run.id)] == [0, 1]


def test_the_order_of_parents_is_kept(archive, samples):
    run = archive.create_run(samples.config())
    for number in (0, 1):
        _propose(archive, samples, run.id, number)
    crossed = _propose(archive, samples, run.id, 2, parents=(1, 0), operator=Operator.CROSSOVER)
    assert crossed.parents == (1, 0)


def test_a_parent_outside_the_run_is_refused(archive, samples):
    run = archive.create_run(samples.config())
    with pytest.raises(UserError, match="no attempt 7"):
        _propose(archive, samples, run.id, 1, parents=(7,))
    assert archive.attempts(run.id) == ()


def test_a_repeated_proposal_changes_nothing(archive, samples):
    run = archive.create_run(samples.config())
    first = _propose(archive, samples, run.id, 0)
    again = _propose(archive, samples, run.id, 0, candidate=samples.candidate("// other"), problem="changed")
    assert again == first
    assert len(archive.attempts(run.id)) == 1


def test_a_proposal_without_a_candidate_keeps_its_problem_and_takes_no_outcome(archive, samples):
    run = archive.create_run(samples.config())
    stored = _propose(archive, samples, run.id, 0, candidate=None, problem="no code block\0")
    assert stored.candidate is None
    assert stored.problem == "no code block\N{REPLACEMENT CHARACTER}"
    with pytest.raises(ValueError, match="another candidate"):
        archive.record_outcome(run.id, 0, samples.verdict(samples.candidate()), None)


def test_a_source_with_any_character_survives(archive, samples):
    run = archive.create_run(samples.config())
    candidate = samples.candidate("// \0 \u2028 '%s' \U0001f680 \\u0000")
    assert _propose(archive, samples, run.id, 0, candidate=candidate).candidate == candidate
    assert archive.attempt(run.id, 0).candidate.content_hash == candidate.content_hash


def test_a_stored_outcome_stands(archive, samples):
    run = archive.create_run(samples.config())
    candidate = samples.candidate("// 0")
    _propose(archive, samples, run.id, 0)
    first = archive.record_outcome(run.id, 0, samples.verdict(candidate, Status.WRONG_VALUES), None)
    again = archive.record_outcome(run.id, 0, samples.verdict(candidate), samples.measurement(candidate))
    assert again == first


def test_an_infrastructure_fault_is_replaced_and_a_missing_measurement_is_added(archive, samples):
    run = archive.create_run(samples.config())
    candidate = samples.candidate("// 0")
    _propose(archive, samples, run.id, 0)
    archive.record_outcome(run.id, 0, samples.verdict(candidate, Status.INFRA_ERROR), None)
    assert archive.record_outcome(run.id, 0, samples.verdict(candidate), None).verdict.passed
    measured = archive.record_outcome(run.id, 0, samples.verdict(candidate), samples.measurement(candidate, 3.0))
    assert measured.measurement.speedup == 3.0
    again = archive.record_outcome(run.id, 0, samples.verdict(candidate), samples.measurement(candidate, 4.0))
    assert again.measurement.speedup == 3.0


def test_outcomes_that_do_not_belong_together_are_refused(archive, samples):
    run = archive.create_run(samples.config())
    candidate, other = samples.candidate("// 0"), samples.candidate("// other")
    _propose(archive, samples, run.id, 0)
    with pytest.raises(ValueError, match="another candidate"):
        archive.record_outcome(run.id, 0, samples.verdict(candidate), samples.measurement(other))
    with pytest.raises(ValueError, match="though its verdict is wrong_values"):
        archive.record_outcome(
            run.id, 0, samples.verdict(candidate, Status.WRONG_VALUES), samples.measurement(candidate)
        )
    with pytest.raises(ValueError, match="not a finite number"):
        archive.record_outcome(run.id, 0, samples.verdict(candidate), samples.measurement(candidate, float("nan")))
    assert archive.attempt(run.id, 0).verdict is None


def test_tasks_and_candidates_are_stored_once(archive, samples):
    candidate = samples.candidate()
    for seed in range(3):
        run = archive.create_run(samples.config(seed=seed))
        _propose(archive, samples, run.id, 0, candidate=candidate)
    assert _count(archive, TaskRow) == 1
    assert _count(archive, CandidateRow) == 1


def test_the_best_attempt_must_exist(archive, samples):
    run = archive.create_run(samples.config())
    with pytest.raises(UserError, match="no attempt 3"):
        archive.set_best(run.id, 3)
    _propose(archive, samples, run.id, 3)
    archive.set_best(run.id, 3)
    assert archive.run(run.id).best_attempt == 3


def test_best_figures_are_those_of_the_best_attempts(archive, samples):
    fast, slow, none = (archive.create_run(samples.config(seed=seed)).id for seed in range(3))
    _pass(archive, samples, fast, 0, 2.0)
    _pass(archive, samples, fast, 1, 4.0)
    _pass(archive, samples, slow, 0, 3.0)
    archive.set_best(fast, 1)
    figures = archive.best_figures([fast, slow, none])
    assert list(figures) == [fast]
    assert (figures[fast].attempt, figures[fast].speedup, figures[fast].basis) == (1, 4.0, Basis.MODELLED)


def _pass(archive, samples, run_id, number, speedup, *, basis=Basis.MODELLED):
    candidate = samples.candidate(f"// {run_id} {number}")
    _propose(archive, samples, run_id, number, candidate=candidate)
    archive.record_outcome(run_id, number, samples.verdict(candidate), samples.measurement(candidate, speedup, basis))


def test_kernels_are_filtered_and_never_rank_modelled_against_measured(archive, samples):
    relu = archive.create_run(samples.config())
    gelu = archive.create_run(samples.config(samples.task("gelu")))
    _pass(archive, samples, relu.id, 0, 2.0)
    _pass(archive, samples, relu.id, 1, 9.0, basis=Basis.MEASURED)
    _pass(archive, samples, relu.id, 2, 5.0)
    _pass(archive, samples, gelu.id, 0, 7.0)
    _propose(archive, samples, relu.id, 3)
    _propose(archive, samples, relu.id, 4, candidate=None, problem="nothing")

    newest = archive.kernels(order=KernelOrder.NEWEST)
    assert [(kernel.run_id, kernel.number) for kernel in newest] == [
        (gelu.id, 0),
        (relu.id, 2),
        (relu.id, 1),
        (relu.id, 0),
    ]
    assert len(archive.kernels("relu", passed_only=False)) == 4
    fastest = archive.kernels("relu")
    assert [(kernel.measurement.basis, kernel.number) for kernel in fastest] == [
        (Basis.MEASURED, 1),
        (Basis.MODELLED, 2),
        (Basis.MODELLED, 0),
    ]
    assert len(archive.kernels(limit=1)) == 1
    assert [kernel.number for kernel in archive.passed()] == [0, 1, 2, 0]


def test_counts_tell_how_much_there_is(archive, samples):
    assert (archive.counts().attempts, archive.counts().passed, archive.counts().statuses) == (0, 0, {})
    run = archive.create_run(samples.config())
    _pass(archive, samples, run.id, 0, 2.0)
    _propose(archive, samples, run.id, 1)
    archive.record_outcome(run.id, 1, samples.verdict(samples.candidate("// 1"), Status.DATA_RACE), None)
    _propose(archive, samples, run.id, 2, candidate=None, problem="nothing")
    counts = archive.counts()
    assert (counts.tasks, counts.runs, counts.attempts, counts.passed) == (1, 1, 3, 1)
    assert counts.statuses == {Status.PASSED: 1, Status.DATA_RACE: 1}


def test_events_are_numbered_within_their_run(archive, samples):
    one, two = (archive.create_run(samples.config(seed=seed)).id for seed in (1, 2))
    first = archive.add_event(one, "note", "begins", attempt=4)
    archive.add_event(two, "note", "elsewhere")
    second = archive.add_event(one, "state", "ends\0")
    assert (first.sequence, second.sequence) == (1, 2)
    assert archive.events(one) == (first, second)
    assert archive.events(one, after=1) == (second,)
    assert first.created_at.utcoffset().total_seconds() == 0


def test_threads_share_one_archive(archive, samples):
    run = archive.create_run(samples.config())
    with ThreadPoolExecutor(8) as pool:
        events = list(pool.map(lambda n: archive.add_event(run.id, "note", str(n)).sequence, range(40)))
    assert sorted(events) == list(range(1, 41))


def _write_from_another_process(url: str, config: RunConfig, run_id: str, samples, worker: int) -> None:
    with Archive.open(url) as archive:
        archive.create_run(config, run_id)
        for number in range(5):
            _propose(archive, samples, run_id, number)
            archive.add_event(run_id, "proposed", f"{worker}: {number}")


def test_processes_that_start_at_once_on_an_empty_database_share_it(database_url, samples):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_write_from_another_process, args=(database_url, samples.config(), "shared", samples, n))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with Archive.open(database_url) as archive:
        assert [attempt.number for attempt in archive.attempts("shared")] == [0, 1, 2, 3, 4]
        assert [event.sequence for event in archive.events("shared")] == list(range(1, 21))

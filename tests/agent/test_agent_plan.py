"""Seeds, selection, plan and limits: the arithmetic of a run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.limits import Limit, LimitReachedError, Limits
from agent.plan import follow_up, open_generation
from agent.scripted import ScriptedEvaluator
from agent.seeding import derive_seed
from agent.selection import choose, ranked, source_shape
from dataset.values import AttemptRecord, Operator, Trace, TraceKind
from tests.agent.samples import candidate, kernel, sample_config, sample_task

TRACE = Trace(kind=TraceKind.OFFLINE, model="scripted", messages=())


def attempt(number: int, directive: str | None, *, parents: tuple[int, ...] = (), note: str = "") -> AttemptRecord:
    proposed = None if directive is None else candidate(kernel(directive, note or str(number)))
    outcome = proposed and ScriptedEvaluator().evaluate(sample_task(), proposed, "sim:h100", 1)
    return AttemptRecord(
        run_id="r",
        number=number,
        generation=0,
        operator=Operator.TRANSLATE if not parents else Operator.MUTATE,
        parents=parents,
        candidate=proposed,
        trace=TRACE,
        verdict=outcome.verdict if outcome else None,
        measurement=outcome.measurement if outcome else None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@given(st.integers(0, 2**40), st.lists(st.one_of(st.integers(), st.text(max_size=8)), max_size=4))
def test_seeds_are_reproducible_and_differ_by_every_part(seed: int, path: list[int | str]):
    derived = derive_seed(seed, *path)
    assert 0 <= derived < 2**63
    assert derived == derive_seed(seed, *path)
    assert derived != derive_seed(seed + 1, *path)
    assert derived != derive_seed(seed, *path, 0)


def test_a_number_and_its_spelling_are_different_parts():
    assert derive_seed(1, "2") != derive_seed(1, 2)


def test_the_ranking_holds_what_passed_fastest_first_and_twins_once():
    attempts = [
        attempt(0, "speedup=1.0"),
        attempt(1, "status=wrong_values"),
        attempt(2, "speedup=3.0"),
        attempt(3, None),
        attempt(4, "speedup=2.0", note="2"),  # attempt 2's code with another directive in its comment
    ]
    assert [scored.attempt.number for scored in ranked(attempts)] == [2, 0]


def test_figures_of_another_device_or_basis_are_not_ranked_together():
    here, there = attempt(0, "speedup=9.0"), attempt(1, "speedup=2.0")
    assert there.measurement is not None
    moved = there.model_copy(update={"measurement": there.measurement.model_copy(update={"fingerprint": "other"})})
    assert [scored.attempt.number for scored in ranked([here, moved])] == [1]


def test_the_shape_of_a_source_ignores_comments_and_spacing_but_not_strings():
    assert source_shape(candidate("int x; // a")) == source_shape(candidate("int /* b */ x;"))
    assert source_shape(candidate('char* s = "// a";')) != source_shape(candidate('char* s = "// b";'))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.integers(0, 1000), st.integers(1, 8))
def test_parents_passed_and_are_never_paired_with_themselves(speedups: list[float], seed: int, size: int):
    attempts = [attempt(n, f"speedup={s}") for n, s in enumerate(speedups)]
    choices = choose(attempts, seed, 1, size)
    assert choices == choose(attempts, seed, 1, size)
    assert len(choices) == size
    assert choices[0].parents == (ranked(attempts)[0].attempt.number,)
    for choice in choices:
        assert len(set(choice.parents)) == len(choice.parents) == (2 if choice.operator is Operator.CROSSOVER else 1)


def test_fast_parents_are_preferred_and_used_ones_are_not_worn_out():
    attempts = [attempt(n, f"speedup={s}") for n, s in enumerate([1.0, 4.0, 3.9])]
    drawn = [parent for seed in range(200) for c in choose(attempts, seed, 1, 4)[1:] for parent in c.parents]
    assert drawn.count(0) < drawn.count(1)
    assert drawn.count(0) < drawn.count(2)
    assert drawn.count(1) < drawn.count(2), "slot 0 already took attempt 1"


def test_numbers_and_ordinals_go_on_where_the_history_ends():
    config = sample_config(samples=3, repairs=2)
    first = open_generation(config, 0, [])
    assert [(step.number, step.ordinal, step.turn) for step in first] == [(0, 0, 0), (1, 1, 0), (2, 2, 0)]
    assert len({step.seed for step in first}) == 3
    history = [attempt(0, "speedup=1.0"), attempt(1, "status=timeout"), attempt(2, None)]
    second = follow_up(config, first, history)
    assert [(s.number, s.slot, s.operator, s.parents, s.ordinal) for s in second] == [
        (3, 1, Operator.REPAIR, (1,), 0),
        (4, 2, Operator.TRANSLATE, (), 3),
    ]
    assert follow_up(config, second, [*history, attempt(3, "speedup=1.0"), attempt(4, "speedup=1.0")]) == ()


def test_turns_end_with_the_repairs_that_are_allowed():
    config = sample_config(samples=1, repairs=1)
    first = open_generation(config, 0, [])
    second = follow_up(config, first, [attempt(0, "status=timeout")])
    assert len(second) == 1
    assert follow_up(config, second, [attempt(0, "status=timeout"), attempt(1, "status=timeout")]) == ()


def test_a_mutation_that_failed_is_not_repaired():
    config = sample_config(population=1, repairs=1)
    history = [attempt(0, "speedup=1.0")]
    steps = open_generation(config, 1, history)
    assert follow_up(config, steps, [*history, attempt(1, "status=timeout", parents=(0,))]) == ()


@pytest.mark.parametrize(
    ("config", "trace", "seconds", "limit"),
    [
        ({"budget_usd": 1.0}, {"cost_usd": 1.0}, 0, Limit.USD),
        ({"budget_tokens": 10}, {"input_tokens": 4, "output_tokens": 6}, 0, Limit.TOKENS),
        ({"max_seconds": 5}, {}, 5, Limit.SECONDS),
    ],
)
def test_each_limit_binds_when_it_is_reached_and_not_before(config, trace, seconds: float, limit: Limit):
    now = 100.0
    limits = Limits(sample_config(**config), clock=lambda: now)
    limits.check()
    now += seconds
    limits.add(TRACE.model_copy(update=trace))
    with pytest.raises(LimitReachedError) as reached:
        limits.check()
    assert reached.value.limit is limit
    Limits(sample_config(), [TRACE.model_copy(update=trace)], clock=lambda: now).check()


def test_what_was_spent_in_an_earlier_sitting_counts():
    spent = [TRACE.model_copy(update={"input_tokens": 6}), TRACE.model_copy(update={"output_tokens": 5})]
    with pytest.raises(LimitReachedError, match="11 of 11 tokens"):
        Limits(sample_config(budget_tokens=11), spent).check()

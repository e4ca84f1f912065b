"""The schedules' space: records, steps and mixtures stay inside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.offline.schedules import SCHEDULES, MatmulSchedule, RowSchedule, from_record, mix, neighbours, to_record


def schedules_of(kind):
    settings = {name: st.sampled_from(values) for name, values in kind.choices.items()}
    return st.builds(kind, **settings).filter(lambda schedule: schedule.is_legal())


any_schedule = st.one_of(*(schedules_of(kind) for kind in SCHEDULES.values()))


@given(any_schedule)
def test_a_record_gives_the_schedule_back(schedule):
    assert from_record(to_record(schedule)) == schedule


@given(any_schedule)
def test_neighbours_are_legal_and_different(schedule):
    found = list(neighbours(schedule))
    assert schedule not in found
    assert len(found) == len(set(found))
    assert all(neighbour.is_legal() for neighbour in found)


@pytest.mark.parametrize("kind", SCHEDULES.values())
def test_the_default_has_neighbours(kind):
    assert kind().is_legal()
    assert list(neighbours(kind()))


@given(st.data())
def test_a_mixture_takes_every_field_from_a_parent(data):
    kind = data.draw(st.sampled_from(list(SCHEDULES.values())))
    first, second = data.draw(schedules_of(kind)), data.draw(schedules_of(kind))
    take = tuple(data.draw(st.lists(st.booleans(), min_size=len(kind.choices), max_size=len(kind.choices))))
    mixed = mix(first, second, take)
    if mixed is not None:
        assert mixed.is_legal()
        for name, from_second in zip(kind.choices, take, strict=True):
            assert getattr(mixed, name) == getattr(second if from_second else first, name)


def test_different_kinds_do_not_mix():
    assert mix(RowSchedule(), MatmulSchedule(), (False,) * 7) is None


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "row"},
        {"kind": "unknown", "block": 256},
        {**to_record(RowSchedule()), "group": 7},
        {**to_record(RowSchedule()), "group": "32; system()"},
        {**to_record(RowSchedule()), "items": 16, "group": 1024},
    ],
)
def test_a_record_that_is_not_ours_is_refused(record):
    assert from_record(record) is None

"""The honest set's own parts: what a run that goes on takes from an earlier one, and that an accusation is shown."""

import pytest

from benchmarks.honest import Record, known_records, spread_over, table
from benchmarks.mutants.subjects import subjects_of, twin_subjects
from verifier.values import Status


def record(kernel="twins/a", status=Status.PASSED, candidate_hash="0"):
    return Record(
        kernel=kernel,
        task="relu",
        candidate_hash=candidate_hash,
        judge="",
        seed=7,
        status=status,
        check="values[normal]",
        workload="rows=1",
        detail="4 times the limit",
        seconds=1.0,
    )


def test_the_table_counts_by_source_and_shows_every_accusation():
    made = table([record(), record("raw/b", Status.WRONG_VALUES), record("raw/c")], total=5)
    assert "| twins | 1 | 1 | 0 |" in made
    assert "| raw | 2 | 1 | 1 |" in made
    assert "| all | 3 | 2 | 1 |" in made
    assert "- raw/b: wrong_values at rows=1, values[normal]: 4 times the limit (seed 7)" in made
    assert "2 of 5 kernels are not judged yet." in made
    assert "3 verdicts were made by other sources" in made


def test_a_run_goes_on_with_the_last_result_of_each_kernel_as_it_is_now(tmp_path):
    first, second = list(twin_subjects())[:2]
    now = [one.candidate.content_hash for one in (first, second)]
    lines = (
        record(first.name, Status.CRASHED, now[0]),
        record(first.name, Status.PASSED, now[0]),
        record(second.name, Status.PASSED, "of another source"),
    )
    path = tmp_path / "honest.jsonl"
    path.write_text("".join(line.model_dump_json() + "\n" for line in lines), encoding="utf-8")
    known = known_records(path, [first, second])
    assert {name: one.status for name, one in known.items()} == {first.name: Status.PASSED}
    assert known_records(tmp_path / "none", [first]) == {}


def test_a_part_of_the_kernels_is_taken_evenly():
    twins = list(twin_subjects())
    assert spread_over(twins, None) == spread_over(twins, 99) == twins
    half = spread_over(twins, len(twins) // 2)
    assert half == twins[::2][: len(twins) // 2]
    assert spread_over(twins, 0) == []


def test_a_source_that_is_unknown_is_named():
    with pytest.raises(ValueError, match="no subjects called 'books'; there are raw"):
        subjects_of(["books"], 1)

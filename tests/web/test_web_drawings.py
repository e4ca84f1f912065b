"""Charts, lineage and highlighted source."""

from __future__ import annotations

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.values import AttemptRecord, Operator, Trace, TraceKind
from sandbox.values import Basis, Candidate, Language, SourceFile
from verifier.values import Measurement, Status
from web.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Fate, chart
from web.lineage import BOX_HEIGHT, BOX_WIDTH, lineage
from web.listing import highlight_css, highlighted
from web.rendering import microseconds, percent, speedup


@pytest.fixture
def attempts(site):
    run = site.stage.finished_run()
    return site.archive.attempts(run.id)


def test_a_run_without_a_timed_kernel_has_no_chart(attempts):
    assert chart(()) is None
    assert chart(attempts[1:3]) is None


def test_the_chart_marks_every_attempt_and_the_best_only_rises(attempts):
    drawn = chart(attempts)
    passed, failed = Fate.PASSED, Fate.FAILED
    assert [mark.fate for mark in drawn.marks] == [passed, failed, failed, passed, passed, failed, passed]
    assert drawn.marks[6].label == "attempt 6: 2.95× (modelled)"
    heights = [float(point.split(",")[1]) for point in drawn.best.split()]
    assert heights == sorted(heights, reverse=True)
    assert [tick.label for tick in drawn.speedups] == ["0×", "1×", "2×", "3×"]


@given(st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=1, max_size=30))
def test_a_chart_stays_within_its_frame(speedups):
    drawn = chart([_timed(number, value) for number, value in enumerate(speedups)])
    assert 2 <= len(drawn.speedups) <= 6
    assert all(LEFT <= mark.x <= WIDTH - RIGHT for mark in drawn.marks)
    assert all(TOP <= mark.y <= HEIGHT - BOTTOM for mark in drawn.marks)
    assert TOP <= drawn.one <= HEIGHT - BOTTOM


def _timed(number, value):
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=""),))
    measurement = Measurement(
        basis=Basis.MODELLED,
        device="sim:h100",
        fingerprint="",
        candidate_hash=candidate.content_hash,
        timings=(),
        speedup=value,
    )
    return AttemptRecord(
        run_id="r",
        number=number,
        generation=0,
        operator=Operator.TRANSLATE,
        candidate=candidate,
        trace=Trace(kind=TraceKind.OFFLINE, model="offline", messages=()),
        measurement=measurement,
        created_at="2026-11-25T00:00:00Z",
    )


def test_the_lineage_shows_parents_left_and_children_right(attempts):
    drawn = lineage(attempts[4], attempts)
    assert [(box.attempt, box.current) for box in drawn.boxes] == [(0, False), (4, True), (6, False)]
    assert [box.x for box in drawn.boxes] == sorted(box.x for box in drawn.boxes)
    assert len(drawn.edges) == 2
    crossed = lineage(attempts[5], attempts)
    assert [box.attempt for box in crossed.boxes] == [0, 3, 5]
    for box in crossed.boxes:
        assert 0 <= box.x <= crossed.width - BOX_WIDTH
        assert 0 <= box.y <= crossed.height - BOX_HEIGHT


def test_an_attempt_without_relations_has_no_lineage(attempts):
    assert lineage(attempts[2], attempts) is None


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.sampled_from(["cu", "py", "toml", "diff", "x"])
)
def test_highlighting_keeps_the_text_and_escapes_it(text, suffix):
    html = str(highlighted(text, suffix))
    assert "<script" not in html
    bare = html
    while "<" in bare:
        start = bare.index("<")
        bare = bare[:start] + bare[bare.index(">", start) + 1 :]

    def plain(value):
        return [line.rstrip() for line in value.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines()]

    assert plain(unescape(bare).rstrip()) == plain(text.rstrip())


def test_the_style_sheet_of_source_knows_both_schemes():
    css = highlight_css()
    assert css.count(".code .k ") == 2
    assert "prefers-color-scheme: dark" in css


@pytest.mark.parametrize(
    ("value", "written"), [(0.8, "0.80×"), (2.345, "2.35×"), (11.21, "11.2×"), (140.4, "140×"), (9.999, "10.00×")]
)
def test_speedups_have_three_digits(value, written):
    assert speedup(value) == written


@pytest.mark.parametrize(("value", "written"), [(0.4567, "0.46 µs"), (14.24, "14.2 µs"), (2345.0, "2.35 ms")])
def test_times_have_a_readable_unit(value, written):
    assert microseconds(value) == written


def test_small_percentages_are_not_rounded_away():
    assert [percent(value) for value in (0.0031, 0.099, 0.62, 1.0)] == ["0.3%", "9.9%", "62%", "100%"]


def test_every_status_is_drawn(site):
    run = site.stage.run()
    for number, status in enumerate(Status):
        site.stage.propose(run, number)
        site.stage.judge(run, number, status, 1.0)
    drawn = chart(site.archive.attempts(run.id))
    assert len(drawn.marks) == len(Status)

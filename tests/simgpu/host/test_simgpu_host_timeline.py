"""Modelled time of streams and events, by the runtime's rules of what waits for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simgpu.cudart.errors import CudaCode, CudaError
from simgpu.cudart.timeline import Timeline

NON_BLOCKING, DISABLE_TIMING = 1, 2


def mark(timeline, stream=0):
    event = timeline.create_event(0)
    timeline.record(event, stream)
    return event


def test_work_in_one_stream_adds_up():
    timeline = Timeline()
    start = mark(timeline)
    timeline.run(0, 1000)
    timeline.run(0, 500)
    assert timeline.elapsed_ms(start, mark(timeline)) == 1.5


def test_streams_run_side_by_side_and_the_default_stream_waits_for_them():
    timeline = Timeline()
    start = mark(timeline)
    first, second = timeline.create_stream(0), timeline.create_stream(0)
    timeline.run(first, 2000)
    timeline.run(second, 3000)
    assert timeline.elapsed_ms(start, mark(timeline, first)) == 2
    timeline.run(0, 1000)
    assert timeline.elapsed_ms(start, mark(timeline, first)) == 4


def test_a_non_blocking_stream_ignores_the_default_stream():
    timeline = Timeline()
    start = mark(timeline)
    free = timeline.create_stream(NON_BLOCKING)
    timeline.run(0, 1000)
    timeline.run(free, 200)
    assert timeline.elapsed_ms(start, mark(timeline, free)) == pytest.approx(0.2)
    assert timeline.stream_flags(free) == NON_BLOCKING


def test_a_stream_waits_for_an_event():
    timeline = Timeline()
    start = mark(timeline)
    first, second = timeline.create_stream(NON_BLOCKING), timeline.create_stream(NON_BLOCKING)
    timeline.run(first, 700)
    timeline.wait(second, mark(timeline, first))
    timeline.run(second, 300)
    assert timeline.elapsed_ms(start, mark(timeline, second)) == 1
    timeline.wait(second, timeline.create_event(0))


def test_unknown_handles_and_untimed_events_are_refused():
    timeline = Timeline()
    stream, event = timeline.create_stream(0), mark(timeline)
    timeline.destroy_stream(stream)
    timeline.destroy_event(event)
    refused = [
        lambda: timeline.run(stream, 1),
        lambda: timeline.check_event(event),
        lambda: timeline.elapsed_ms(mark(timeline), timeline.create_event(0)),
        lambda: timeline.elapsed_ms(mark(timeline), timeline.create_event(DISABLE_TIMING)),
    ]
    for call in refused:
        with pytest.raises(CudaError) as caught:
            call()
        assert caught.value.code == CudaCode.INVALID_RESOURCE_HANDLE


def test_rewinding_forgets_times_and_keeps_handles():
    timeline = Timeline()
    stream = timeline.create_stream(0)
    event = mark(timeline)
    timeline.run(stream, 5)
    timeline.rewind()
    with pytest.raises(CudaError):
        timeline.elapsed_ms(event, event)
    timeline.record(event, stream)
    assert timeline.elapsed_ms(event, event) == 0


def test_work_on_a_stream_is_unjoined_until_the_default_stream_or_the_host_waits_for_it():
    timeline = Timeline()
    blocking, free = timeline.create_stream(0), timeline.create_stream(NON_BLOCKING)
    for stream in (blocking, free):
        timeline.run(stream, 5)
    assert timeline.unjoined() == []  # as long as what the default stream waits for anyway
    timeline.run(free, 1)
    assert timeline.unjoined() == [free]
    timeline.wait(0, mark(timeline, free))
    assert timeline.unjoined() == []
    timeline.run(free, 1)
    timeline.synchronize()
    assert timeline.unjoined() == []
    timeline.run(free, 1)
    assert timeline.unjoined() == [free]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e6)), max_size=30))
def test_time_never_runs_backwards(steps):
    timeline = Timeline()
    streams = [0, timeline.create_stream(0), timeline.create_stream(NON_BLOCKING), 2]
    last = {stream: mark(timeline, stream) for stream in streams}
    for index, microseconds in steps:
        stream = streams[index]
        timeline.run(stream, microseconds)
        event = mark(timeline, stream)
        assert timeline.elapsed_ms(last[stream], event) >= microseconds / 1e3 * (1 - 1e-9) - 1e-9
        last[stream] = event

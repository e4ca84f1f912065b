"""Following a run by server-sent events while another thread plays the worker."""

from __future__ import annotations

import time

import httpx

from dataset.values import RunEvent, RunState
from verifier.values import Status


def _read(client: httpx.Client, address: str, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    """Return the events of a stream until it closes."""
    events, fields = [], {}
    with client.stream("GET", address, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                events.append(fields)
                fields = {}
    return events


def test_a_run_is_followed_from_its_first_event_to_its_end(site, client, in_thread):
    run = site.stage.run()

    def work() -> None:
        site.archive.set_state(run.id, RunState.RUNNING)
        for number in range(3):
            time.sleep(0.05)
            site.stage.propose(run, number)
            site.stage.judge(run, number, Status.PASSED, 1.0 + number)
        site.archive.set_state(run.id, RunState.FINISHED)
        time.sleep(0.05)
        site.archive.add_event(run.id, "state", "finished")  # as the search does: the event after the state

    in_thread(work)
    *events, end = _read(client, f"/api/runs/{run.id}/events")
    assert (end["event"], end["data"]) == ("end", "finished")
    assert [event["event"] for event in events] == ["progress"] * 7
    assert [int(event["id"]) for event in events] == list(range(1, 8))
    assert tuple(RunEvent.model_validate_json(event["data"]) for event in events) == site.archive.events(run.id)


def test_a_client_that_lost_the_connection_goes_on_where_it_was(site, client):
    run = site.stage.finished_run()
    last = site.archive.events(run.id)[-1].sequence
    resumed = _read(client, f"/api/runs/{run.id}/events", {"Last-Event-ID": str(last - 2)})
    assert [event.get("id") for event in resumed] == [str(last - 1), str(last), None]
    asked = _read(client, f"/api/runs/{run.id}/events?after={last}")
    assert [event["event"] for event in asked] == ["end"]


def test_several_clients_follow_one_run(site, client, in_thread):
    run = site.stage.run()
    found: list[int] = []

    def follow() -> None:
        with httpx.Client(base_url=site.address, timeout=20) as other:
            found.append(len(_read(other, f"/api/runs/{run.id}/events")))

    for _ in range(4):
        in_thread(follow)
    site.stage.propose(run, 0)
    site.archive.set_state(run.id, RunState.FAILED, "no room")
    assert len(_read(client, f"/api/runs/{run.id}/events")) == 2
    deadline = time.monotonic() + 10
    while len(found) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == [2, 2, 2, 2]


def test_a_stream_does_not_hold_up_the_servers_end(site):
    run = site.stage.run()
    client = httpx.Client(base_url=site.address, timeout=20)
    with client.stream("GET", f"/api/runs/{run.id}/events") as stream:
        assert stream.status_code == 200
    client.close()
    # The fixture joins the server's thread: a stream that stayed open would keep it.

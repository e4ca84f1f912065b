"""The JSON API over real HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from dataset.values import AttemptRecord, RunRecord, RunState
from tasks.values import Task
from verifier.values import Status
from web.values import ErrorEnvelope, ErrorKind, Health, KernelList, RunList, TaskList

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
OP = "import torch\n\nrows = 8\n\ndef f(x):\n    return torch.relu(x)\n\ndef get_inputs():\n    return [torch.rand(rows)]\n"


def test_a_run_is_started_from_source_which_is_only_loaded(site, client):
    answer = client.post("/api/runs", json={"source": OP, "filename": "my_relu.py", "device": "auto", "seed": 3})
    assert answer.status_code == 201
    run = RunRecord.model_validate(answer.json())
    assert run == site.archive.run(run.id)
    assert (run.state, run.config.device, run.config.model, run.config.seed) == (
        RunState.QUEUED,
        "sim:h100",
        "offline",
        3,
    )
    assert site.backend.loaded == [("my_relu.py", OP)]


def test_a_run_is_started_from_a_library_task(client):
    answer = client.post("/api/runs", json={"task": "gelu", "samples": 2, "generations": 0, "max_seconds": 9.5})
    config = RunRecord.model_validate(answer.json()).config
    assert (config.task.slug, config.samples, config.generations, config.max_seconds) == ("gelu", 2, 0, 9.5)


def test_an_op_that_cannot_be_used_is_the_users_fault(client):
    answer = client.post("/api/runs", json={"source": "x"})
    assert answer.status_code == 400
    problem = ErrorEnvelope.model_validate(answer.json()).error
    assert problem.kind is ErrorKind.USER
    assert "NameError" in problem.message


def test_runs_are_listed_with_their_best_figures_and_shown(site, client):
    done = site.stage.finished_run()
    waiting = site.stage.run(seed=8)
    runs = RunList.model_validate(client.get("/api/runs").json()).runs
    assert [run.id for run in runs] == [waiting.id, done.id]
    assert runs[0].best is None
    assert (runs[1].best.attempt, runs[1].best.speedup, runs[1].best.basis) == (6, 2.95, "modelled")
    assert RunRecord.model_validate(client.get(f"/api/runs/{done.id}").json()) == done
    assert len(client.get("/api/runs?limit=1").json()["runs"]) == 1


def test_attempts_come_whole(site, client):
    run = site.stage.finished_run()
    attempts = client.get(f"/api/runs/{run.id}/attempts").json()["attempts"]
    assert tuple(AttemptRecord.model_validate(attempt) for attempt in attempts) == site.archive.attempts(run.id)
    shown = AttemptRecord.model_validate(client.get(f"/api/runs/{run.id}/attempts/4").json())
    assert shown == site.archive.attempt(run.id, 4)
    assert client.get(f"/api/kernels/{run.id}:4").json() == client.get(f"/api/runs/{run.id}/attempts/4").json()


def test_a_run_is_cancelled_once(site, client):
    run = site.stage.run()
    cancelled = RunRecord.model_validate(client.post(f"/api/runs/{run.id}/cancel").json())
    assert cancelled.state is RunState.CANCELLED
    assert site.archive.events(run.id)[-1].text == "cancelled by the user"
    again = client.post(f"/api/runs/{run.id}/cancel")
    assert again.status_code == 400
    assert "nothing to cancel" in again.json()["error"]["message"]


def test_kernels_are_listed_filtered_and_compared(site, client):
    run = site.stage.finished_run()
    passed = KernelList.model_validate(client.get("/api/kernels").json()).kernels
    assert [kernel.attempt for kernel in passed] == [6, 4, 0, 3]
    assert passed[0].name == f"{run.id}:6"
    every = KernelList.model_validate(client.get("/api/kernels?all=true").json()).kernels
    assert {kernel.status for kernel in every} == {"passed", "memory_error", "wrong_values"}
    assert client.get("/api/kernels?task=gelu").json() == {"kernels": []}
    diff = client.get("/api/kernels/diff", params={"left": f"{run.id}:0", "right": f"{run.id}:4"}).json()["diff"]
    assert diff.startswith(f"--- {run.id}:0\n+++ {run.id}:4\n")
    assert (
        client.get("/api/kernels/diff", params={"left": passed[0].name, "right": passed[0].name}).json()["diff"] == ""
    )


def test_comparing_with_an_attempt_without_a_kernel_says_why(site, client):
    run = site.stage.finished_run()
    answer = client.get("/api/kernels/diff", params={"left": f"{run.id}:2", "right": f"{run.id}:4"})
    assert answer.status_code == 400
    assert "holds no kernel: the reply holds no code block" in answer.json()["error"]["message"]


def test_library_tasks_are_listed_and_shown(client):
    tasks = TaskList.model_validate(client.get("/api/tasks").json()).tasks
    assert [task.slug for task in tasks] == ["softmax", "gelu", "layernorm_backward"]
    assert Task.model_validate(client.get("/api/tasks/softmax").json()).entry == "softmax"


def test_devices_and_health(client):
    assert client.get("/api/devices").json()["devices"][0] == "auto"
    health = Health.model_validate(client.get("/api/health").json())
    assert health.healthy, "a missing GPU is not required"
    assert [finding.name for finding in health.findings] == ["nvcc", "gpu"]


def test_the_export_is_downloaded_as_lines_of_json(site, client):
    run = site.stage.finished_run()
    answer = client.get("/api/export/chat.jsonl")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "attachment" in answer.headers["content-disposition"]
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["run_id"], row["attempt"], row["status"]) for row in rows] == [
        (run.id, number, Status.PASSED) for number in (0, 3, 4, 6)
    ]


def _assert_envelope(answer) -> ErrorEnvelope:
    assert answer.headers["content-type"] == "application/json", answer.text
    body = ErrorEnvelope.model_validate(answer.json())
    assert body.error.message
    assert set(answer.json()) == {"error"}
    return body


# One bad request for each operation of the API; `test_every_operation_...` fails when an operation is missing here.
BAD = {
    ("get", "/api/runs"): ("/api/runs?limit=0", None, 422),
    ("post", "/api/runs"): ("/api/runs", {"source": OP, "task": "gelu"}, 422),
    ("get", "/api/runs/{run_id}"): ("/api/runs/nope", None, 404),
    ("post", "/api/runs/{run_id}/cancel"): ("/api/runs/nope/cancel", None, 404),
    ("get", "/api/runs/{run_id}/events"): ("/api/runs/nope/events", None, 404),
    ("get", "/api/runs/{run_id}/attempts"): ("/api/runs/nope/attempts", None, 404),
    ("get", "/api/runs/{run_id}/attempts/{number}"): ("/api/runs/nope/attempts/0", None, 404),
    ("get", "/api/kernels"): ("/api/kernels?all=perhaps", None, 422),
    ("get", "/api/kernels/diff"): ("/api/kernels/diff?left=a:0&right=b", None, 422),
    ("get", "/api/kernels/{name}"): ("/api/kernels/nope:0", None, 404),
    ("get", "/api/export/chat.jsonl"): ("/api/export/chat.json", None, 404),
    ("get", "/api/tasks"): ("/api/tasks/", None, 404),
    ("get", "/api/tasks/{slug}"): ("/api/tasks/nope", None, 404),
    ("get", "/api/devices"): ("/api/devices/x", None, 404),
    ("get", "/api/health"): ("/api/health/x", None, 404),
}


def _operations(client) -> set[tuple[str, str]]:
    paths = client.get("/api/openapi.json").json()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods}


def test_every_operation_answers_a_bad_request_with_the_envelope(client):
    assert _operations(client) == set(BAD)
    for (method, path), (address, body, status) in BAD.items():
        answer = client.request(method, address, json=body)
        assert answer.status_code == status, (method, path, answer.text)
        _assert_envelope(answer)


def test_every_operation_refuses_another_method_with_the_envelope(client):
    for _, path in _operations(client):
        answer = client.request("PATCH", path.replace("{number}", "0"))
        assert answer.status_code == 405, path
        assert _assert_envelope(answer).error.kind is ErrorKind.METHOD


BAD_BODIES = [
    (b"{", "JSON"),
    (b"[]", "valid dictionary"),
    (b"{}", "one of the two"),
    (b'{"task": "gelu", "samples": 0}', "samples: "),
    (b'{"task": "gelu", "surprise": 1}', "surprise: "),
    (b'{"task": "../gelu"}', "task: "),
    (b'{"source": "x", "filename": "../../etc/x.py"}', "filename: "),
    (b'{"task": "gelu", "seed": -1}', "seed: "),
    (b'{"task": "gelu", "budget_usd": NaN}', ""),
    (b"\xff\xfe", ""),
]


def test_a_bad_body_names_the_field(client):
    for body, said in BAD_BODIES:
        answer = client.post("/api/runs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (body, answer.text)
        assert said in _assert_envelope(answer).error.message


ODD_ADDRESSES = [
    "/api/runs/%00",
    "/api/runs/a%2Fb",
    "/api/runs/nope/attempts/-1",
    "/api/runs/nope/attempts/99999999999999999999",
    "/api/runs/nope/attempts/x",
    "/api/kernels/x:99999999999999999999",
    "/api/kernels?task=%00",
    "/api/kernels?limit=99999999999999999999",
    "/api/tasks/%00%ff",
    "/api/runs/nope/events?after=-1",
    "/api",
    "/api/",
]


def test_an_odd_address_is_never_an_internal_error(client):
    for address in ODD_ADDRESSES:
        answer = client.get(address)
        assert answer.status_code in {404, 422}, address
        _assert_envelope(answer)


def test_an_internal_fault_has_the_envelope_and_tells_no_details(site, client):
    def broken() -> None:
        raise RuntimeError("a secret")

    site.backend.findings = broken
    answer = client.get("/api/health")
    assert answer.status_code == 500
    assert _assert_envelope(answer).error.kind is ErrorKind.INTERNAL
    assert "secret" not in answer.text


def test_every_operation_and_every_field_is_documented(client):
    text = DOCS.read_text(encoding="utf-8")
    for method, path in _operations(client):
        assert f"`{method.upper()} {path}`" in text, f"{method} {path} is missing from docs/api.md"
    for kind in ErrorKind:
        assert f"`{kind.value}`" in text
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    for name in schemas["RunRequest"]["properties"]:
        assert f"`{name}`" in text, f"the field {name} of RunRequest is missing from docs/api.md"

"""The pages over real HTTP: what a person reads and sends."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from dataset.values import RunState
from verifier.values import Status

OP = "import torch\n\ndef f(x):\n    return x < 1 & 2  # <b>'\"</b>\n"
FIELDS = {
    "source": "",
    "task": "",
    "device": "sim:a100",
    "model": "offline",
    "samples": "3",
    "generations": "1",
    "population": "2",
}


class Page(HTMLParser):
    """What a page holds: its texts by a mark, well-formed or the parse fails."""

    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[tuple[str, dict[str, str | None]], ...], str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    def text(self, tag: str, **attributes: str) -> str:
        """Return all text inside elements of this tag whose attributes hold these words."""

        def matches(element: tuple[str, dict[str, str | None]]) -> bool:
            name, given = element
            return name == tag and all(
                value in (given.get(key.rstrip("_").replace("_", "-")) or "").split()
                for key, value in attributes.items()
            )

        return "".join(text for around, text in self.texts if any(matches(element) for element in around))

    def rows(self, table: str) -> list[dict[str, str | None]]:
        inside = re.compile(r"data-")
        assert table in {attributes.get("class") for _, attributes in self.elements}
        return [
            attributes
            for tag, attributes in self.elements
            if tag == "tr" and any(inside.match(name) for name in attributes)
        ]


def _page(answer) -> Page:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


def test_an_op_is_pasted_and_the_browser_is_led_to_its_run(site, client):
    answer = client.post("/runs", data=FIELDS | {"source": OP.replace("\n", "\r\n")})
    assert answer.status_code == 303
    run = site.archive.run(answer.headers["location"].removeprefix("/runs/"))
    assert site.backend.loaded == [("op.py", OP)]
    assert (run.config.device, run.config.samples, run.config.generations, run.config.population) == (
        "sim:a100",
        3,
        1,
        2,
    )


def test_an_op_is_uploaded_under_a_harmless_name(site, client):
    upload = {"upload": ("../../My op(1).py", OP.encode(), "text/x-python")}
    answer = client.post("/runs", data=FIELDS, files=upload)
    assert answer.status_code == 303, answer.text
    assert site.backend.loaded == [("My_op_1.py", OP)]


def test_an_empty_upload_field_counts_as_none(site, client):
    answer = client.post("/runs", data=FIELDS | {"source": OP}, files={"upload": ("", b"")})
    assert answer.status_code == 303
    assert site.backend.loaded == [("op.py", OP)]


def test_a_library_task_is_chosen(site, client):
    answer = client.post("/runs", data=FIELDS | {"task": "gelu"})
    assert answer.status_code == 303
    assert site.archive.runs()[0].config.task.slug == "gelu"
    chosen = _page(client.get("/?task=gelu"))
    assert ("option", {"value": "gelu", "selected": None}) in chosen.elements


def test_a_mistake_is_a_sentence_and_nothing_typed_is_lost(site, client):
    source = "x = '</textarea><script>alert(1)</script>'\r\n"
    mistakes = [
        ({"source": source}, 400, "NameError: name 'x' is not <defined>"),
        ({"source": source, "device": "cuda:7"}, 400, "there is no device `cuda:7`"),
        ({"source": source, "samples": "0"}, 422, "samples: Input should be greater than or equal to 1"),
        ({"source": source, "generations": "many"}, 422, "generations: "),
        ({"source": source, "task": "gelu"}, 422, "one of the two"),
        ({"source": "  \n"}, 422, "one of the two"),
        ({"source": "#" * 300_000}, 422, "source: "),
    ]
    for change, status, said in mistakes:
        answer = client.post("/runs", data=FIELDS | change)
        assert answer.status_code == status, answer.text
        page = _page(answer)
        assert said in page.text("div", role="alert")
        assert page.text("textarea", name="source").lstrip("\n").replace("\r\n", "\n").rstrip() == (
            change["source"].replace("\r\n", "\n").rstrip()
        )
        assert ("script", {}) not in page.elements
        model = next(attributes for tag, attributes in page.elements if attributes.get("name") == "model")
        assert model["value"] == "offline"
    assert site.archive.runs() == ()


def test_the_first_newline_of_a_source_survives_the_form(client):
    answer = client.post("/runs", data=FIELDS | {"source": "\n\nx"})
    # HTML drops one newline at the start of a textarea; the template puts one there to be dropped.
    assert "\n\n\nx</textarea>" in answer.text.replace("\r\n", "\n")


def test_the_home_page_lists_recent_runs(site, client):
    run = site.stage.finished_run()
    page = _page(client.get("/"))
    assert ("form", "submit-op") in {(tag, attributes.get("id")) for tag, attributes in page.elements}
    assert [row["data-run"] for row in page.rows("runs")] == [run.id]
    assert "2.95×" in page.text("table", class_="runs")
    assert "modelled" in page.text("table", class_="runs")


def test_a_finished_run_shows_its_kernel_and_how_it_was_timed(site, client):
    run = site.stage.finished_run()
    page = _page(client.get(f"/runs/{run.id}"))
    assert page.text("span", class_="run-state") == "finished"
    assert page.text("span", class_="best-speedup") == "2.95×"
    assert "modelled" in page.text("div", class_="stats")
    assert "__global__" in page.text("pre", class_="kernel")
    rows = page.rows("attempts")
    assert [(row["data-attempt"], row["data-status"]) for row in rows] == [
        ("0", "passed"),
        ("1", "memory_error"),
        ("2", "no_candidate"),
        ("3", "passed"),
        ("4", "passed"),
        ("5", "wrong_values"),
        ("6", "passed"),
    ]
    assert rows[-1]["class"] == "best"
    assert "best so far: attempt 6" in page.text("ol", id="log")
    assert not any(tag == "script" for tag, _ in page.elements), "an ended run needs no script"


def test_a_run_under_way_follows_itself_and_can_be_cancelled(site, client):
    run = site.stage.run()
    site.archive.set_state(run.id, RunState.RUNNING)
    site.stage.propose(run, 0)
    page = _page(client.get(f"/runs/{run.id}"))
    live = next(attributes for _, attributes in page.elements if attributes.get("id") == "live")
    assert (live["data-active"], live["data-after"]) == ("true", "1")
    assert ("script", {"src": "/static/live.js", "defer": None}) in page.elements
    assert page.rows("attempts")[0]["data-status"] == "pending"
    part = client.get(f"/runs/{run.id}/live").text
    assert "<html" not in part
    assert part.strip() in client.get(f"/runs/{run.id}").text

    assert client.post(f"/runs/{run.id}/cancel").status_code == 303
    assert site.archive.run(run.id).state is RunState.CANCELLED
    assert client.post(f"/runs/{run.id}/cancel").status_code == 400


def test_a_kernel_shows_its_evidence(site, client):
    run = site.stage.finished_run()
    page = _page(client.get(f"/runs/{run.id}/attempts/4"))
    assert page.text("span", class_="verdict").strip() == "passed"
    assert page.text("span", class_="speedup") == "2.61×"
    assert page.text("table", class_="checks").count("passed") == 4
    assert "rows=7,cols=129" in page.text("table", class_="checks")
    timings = page.text("table", class_="timings")
    assert "dram" in timings
    assert "62%" in timings
    assert "-        top = fmaxf(top, row[i]);  // variant 0" in page.text("pre", class_="diff")
    assert "attempt 6" in page.text("svg", class_="lineage")
    assert '<script>alert("no")</script>' in page.text("pre", class_="kernel"), "shown as text"
    assert ("script", {}) not in page.elements
    assert "<b>not bold</b>" in page.text("pre", class_="message")


def test_a_kernel_that_failed_shows_what_the_device_saw(site, client):
    run = site.stage.finished_run()
    page = _page(client.get(f"/runs/{run.id}/attempts/1"))
    assert "memory error" in page.text("span", class_="verdict")
    seen = page.text("ul", class_="diagnostics")
    assert "kernel.cu:10, block 6,0,0, thread 1,0,0" in seen
    assert "4 bytes past the end of x" in seen
    assert "stream-use" in page.text("ul", class_="evidence")


def test_an_attempt_without_a_kernel_shows_its_problem(site, client):
    run = site.stage.finished_run()
    page = _page(client.get(f"/runs/{run.id}/attempts/2"))
    assert "no code block" in page.text("div", class_="stats")
    assert client.get(f"/runs/{run.id}/attempts/2/source").status_code == 404
    source = client.get(f"/runs/{run.id}/attempts/4/source")
    assert source.headers["content-type"] == "text/plain; charset=utf-8"
    assert source.text == site.archive.attempt(run.id, 4).candidate.files[0].text


def test_kernels_tasks_and_dataset_have_pages(site, client):
    run = site.stage.finished_run()
    kernels = _page(client.get("/kernels?all=true"))
    assert {row["data-status"] for row in kernels.rows("kernels")} == {"passed", "memory_error", "wrong_values"}
    assert len(_page(client.get("/kernels")).rows("kernels")) == 4
    diff = _page(client.get("/kernels/diff", params={"left": f"{run.id}:0", "right": f"{run.id}:4"}))
    assert "variant 4" in diff.text("pre", class_="diff")
    same = _page(client.get("/kernels/diff", params={"left": f"{run.id}:0", "right": f"{run.id}:0"}))
    assert "Nothing: the sources are the same." in same.text("p", class_="empty")
    tasks = _page(client.get("/tasks"))
    assert "layernorm_backward" in tasks.text("article", class_="task")
    assert "y = x if x < 0 else 0" in tasks.text("article", class_="task")
    assert ("Other" in tasks.text("h2"), "Pointwise" in tasks.text("h2")) == (True, True)
    facts = _page(client.get("/tasks/gelu")).text("dl", class_="facts")
    assert all(said in facts for said in ("pointwise", "y = x if x < 0 else 0", "One pass.", "rows <= cols"))
    assert "is right when it never falls along the last dimension (equal keys are equal)" in facts
    assert "def softmax" in _page(client.get("/tasks/softmax")).text("pre", class_="reference")
    assert "gradients of x, weight, bias" in _page(client.get("/tasks/layernorm_backward")).text("dl", class_="facts")
    dataset = _page(client.get("/dataset"))
    assert "wrong values" in dataset.text("table", class_="slim")
    assert client.get("/dataset/chat.jsonl").text == client.get("/api/export/chat.jsonl").text


def test_empty_pages_say_what_to_do(client):
    for address in ("/", "/kernels", "/dataset"):
        assert client.get(address).status_code == 200
        _page(client.get(address))
    assert "No runs yet" in client.get("/").text
    assert "Optimise an op" in client.get("/kernels").text


def test_a_configured_model_that_cannot_be_used_is_told_and_the_offline_proposer_offered(site, client):
    site.backend.configured_model = None
    page = _page(client.get("/"))
    assert "needs a key" in page.text("div", role="alert")
    assert ("form", "submit-op") in {(tag, attributes.get("id")) for tag, attributes in page.elements}
    assert client.post("/runs", data=FIELDS | {"source": OP}).status_code == 303


def test_what_is_not_there_is_a_page_with_a_sentence(client):
    for address in ("/runs/nope", "/runs/nope/live", "/runs/nope/attempts/0", "/tasks/nope", "/nope"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert _page(answer).text("div", role="alert").strip()


def test_a_measured_figure_is_never_called_modelled(site, client):
    run = site.stage.run()
    candidate = site.stage.propose(run, 0)
    measured = site.stage.measured(candidate, 1.5)
    site.archive.record_outcome(run.id, 0, site.stage.verdict(candidate, Status.PASSED), measured)
    site.archive.set_best(run.id, 0)
    stats = _page(client.get(f"/runs/{run.id}")).text("div", class_="stats")
    assert "measured" in stats
    assert "modelled" not in stats
    assert "95% interval 1.40× – 1.60×" in client.get(f"/runs/{run.id}/attempts/0").text

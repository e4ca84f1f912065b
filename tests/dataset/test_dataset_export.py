"""The chat export: what a row holds, and that Hugging Face datasets loads the file."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.archive import Archive
from dataset.chat import ChatRow, fenced
from dataset.export import chat_rows, export_chat, whole_file
from dataset.values import Operator, TraceKind
from sandbox.values import Candidate, Language, SourceFile
from tasks.errors import InfraError, UserError
from tasks.values import Direction
from verifier.values import Status


@pytest.fixture
def store(tmp_path):
    with Archive.open(f"sqlite:///{tmp_path / 'x.db'}") as archive:
        yield archive


def _attempt(store, samples, run, number, *, status=Status.PASSED, candidate=None, trace=None, **proposal):
    candidate = candidate or samples.candidate(f"// kernel {number}")
    arguments = {"generation": 0, "operator": Operator.TRANSLATE, "parents": ()} | proposal
    store.record_proposal(run.id, number, candidate=candidate, trace=trace or samples.trace(), **arguments)
    passed = status is Status.PASSED
    measurement = samples.measurement(candidate) if passed else None
    return store.record_outcome(run.id, number, samples.verdict(candidate, status), measurement)


def _rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_only_kernels_that_passed_are_exported_each_once(store, samples, tmp_path):
    run = store.create_run(samples.config())
    again = store.create_run(samples.config(seed=2))
    _attempt(store, samples, run, 0)
    _attempt(store, samples, run, 1, status=Status.WRONG_VALUES)
    _attempt(store, samples, again, 0, candidate=samples.candidate("// kernel 0"))
    store.record_proposal(
        run.id, 2, generation=0, operator=Operator.TRANSLATE, parents=(), candidate=None, trace=samples.trace()
    )
    summary = export_chat(store, tmp_path / "out" / "chat.jsonl")
    assert (summary.rows, summary.tasks, summary.modelled, summary.measured, summary.with_reasoning) == (1, 1, 1, 0, 0)
    (row,) = _rows(summary.path)
    assert row["messages"][-1]["content"] == "```cuda\n// kernel 0\n```"
    assert (row["run_id"], row["attempt"], row["status"]) == (run.id, 0, "passed")


def test_a_row_says_where_it_comes_from_and_what_its_figure_is(store, samples, tmp_path):
    run = store.create_run(samples.config(samples.task(licence="BSD-3-Clause")))
    _attempt(store, samples, run, 0)
    (row,) = _rows(export_chat(store, tmp_path / "chat.jsonl").path)
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert "def f(x):" in row["messages"][1]["content"]
    expected = {
        "task": "relu",
        "speedup": 2.5,
        "basis": "modelled",
        "device": "sim:h100",
        "licence": "BSD-3-Clause",
        "origin": "user",
        "model": "offline",
        "trace_kind": "offline",
        "reasoning": "",
        "operator": "translate",
    }
    assert {key: row[key] for key in expected} == expected


def test_reasoning_is_exported_only_when_a_model_answered_this_very_prompt(store, samples, tmp_path):
    run = store.create_run(samples.config())
    thought = "first I tile, then I vectorise"
    _attempt(store, samples, run, 0, trace=samples.trace(TraceKind.MODEL, thought))
    _attempt(store, samples, run, 1, trace=samples.trace(TraceKind.OFFLINE, thought))
    _attempt(
        store,
        samples,
        run,
        2,
        trace=samples.trace(TraceKind.MODEL, thought),
        operator=Operator.MUTATE,
        parents=(0,),
        generation=1,
    )
    summary = export_chat(store, tmp_path / "chat.jsonl")
    rows = _rows(summary.path)
    assert summary.with_reasoning == 1
    assert [row["reasoning"] for row in rows] == [thought, "", ""]
    assert [row["trace_kind"] for row in rows] == ["model", "offline", "model"]
    assert not any(thought in message["content"] for row in rows for message in row["messages"])


def test_the_prompt_of_a_forward_task(store, samples):
    run = store.create_run(samples.config())
    _attempt(store, samples, run, 0)
    (row,) = chat_rows(store)
    assert row.messages[0].content == (
        "You write CUDA kernels. Given a PyTorch reference, you answer with source code that computes the same"
        " result, as fast as the named device allows. You answer with code only."
    )
    assert row.messages[1].content == (
        "Write the forward computation of this PyTorch reference for sim:h100 as one `.cu` file in the style of a"
        " PyTorch extension. The entry point is `forward`. It takes the inputs in the order of the reference, then its"
        f" parameters, then its buffers.\n\n```python\n{samples.task().source}```"
    )


def test_the_prompt_of_a_backward_task_names_what_comes_in_and_goes_out(store, samples):
    task = samples.task().model_copy(
        update={"direction": Direction.BACKWARD, "saved": ("x", "output"), "gradients": ("x",)}
    )
    run = store.create_run(samples.config(task))
    candidate = Candidate(
        language=Language.RAW,
        entry="backward",
        files=(SourceFile(name="kernel.cu", text="// a"), SourceFile(name="launch.toml", text="x = 1\n")),
    )
    _attempt(store, samples, run, 0, candidate=candidate)
    (row,) = chat_rows(store)
    prompt, answer = row.messages[1].content, row.messages[2].content
    assert "backward computation of this PyTorch reference for sim:h100 as device code with its launch" in prompt
    assert "takes the gradients of the outputs, then x, output, and returns the gradients of x." in prompt
    assert answer == "`kernel.cu`\n\n```cuda\n// a\n```\n\n`launch.toml`\n\n```toml\nx = 1\n```"


@given(st.text(alphabet="`ab\n", max_size=40))
def test_a_fence_is_never_closed_by_its_content(text):
    opening, *content, closing = fenced(text, "").split("\n")
    assert opening == closing
    assert all(not line.startswith(closing) for line in content)
    assert "\n".join(content) in {text, text.removesuffix("\n")}


def test_more_rows_than_a_page_come_in_order_and_once(store, samples):
    run = store.create_run(samples.config())
    for number in range(205):
        _attempt(store, samples, run, number)
    assert [row.attempt for row in chat_rows(store)] == list(range(205))


def test_an_export_without_kernels_is_an_empty_file(store, tmp_path):
    summary = export_chat(store, tmp_path / "chat.jsonl")
    assert summary.rows == 0
    assert summary.path.read_bytes() == b""


def test_a_failed_export_leaves_the_old_file_and_nothing_else(store, samples, tmp_path):
    run = store.create_run(samples.config())
    _attempt(store, samples, run, 0)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "chat.jsonl").mkdir()  # a folder in the file's place: the last step fails
    with pytest.raises(UserError, match="cannot be written"):
        export_chat(store, folder / "chat.jsonl")
    assert [entry.name for entry in folder.iterdir()] == ["chat.jsonl"]


def _write_until_the_disk_is_full(path):
    with whole_file(path) as stream:
        stream.write("half a row")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_infrastructure_fault_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(InfraError, match="disk is full"):
        _write_until_the_disk_is_full(tmp_path / "chat.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_every_field_of_a_row_is_documented():
    assert [name for name, field in ChatRow.model_fields.items() if not field.description] == []


_LOAD = """
import sys
from datasets import load_dataset

rows = load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
assert rows.num_rows == 2, rows
assert [message["role"] for message in rows[0]["messages"]] == ["system", "user", "assistant"]
assert rows["speedup"][:] == [2.5, 2.5]
print(",".join(rows.column_names))
"""


@pytest.mark.slow
def test_hugging_face_datasets_loads_the_file_offline(store, samples, tmp_path):
    run = store.create_run(samples.config())
    _attempt(store, samples, run, 0, trace=samples.trace(TraceKind.MODEL, "so"))
    _attempt(store, samples, run, 1)
    path = export_chat(store, tmp_path / "chat.jsonl").path
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, path, tmp_path / "cache"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split(",") == list(ChatRow.model_fields)

"""Chat rows for fine-tuning: a task's prompt, the kernel that passed, and where both come from."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from dataset.values import AttemptRecord, Message, Operator, TraceKind
from sandbox.values import Basis, Candidate, Language
from tasks.values import Task, Value
from verifier.values import Status


class ChatRow(Value):
    """One line of the export."""

    messages: tuple[Message, ...]
    """`system`, `user` (the task) and `assistant` (the kernel)."""
    reasoning: str
    """The model's reasoning, apart from the messages. Empty for the offline proposer, and for attempts that were
    not written from the task alone: their reasoning answers another prompt than the one in `messages`."""
    trace_kind: TraceKind
    """`model` or `offline`: who wrote the kernel."""
    model: str
    """Model identifier, or `offline`."""
    task: str
    """Slug of the task."""
    task_hash: str
    """Content hash of the whole task."""
    status: Status
    """Always `passed`."""
    speedup: float | None
    """Over eager PyTorch on the same device; compare only rows of equal `basis` and `device`."""
    basis: Basis | None
    """`measured` on a GPU or `modelled` by the simulator; None without a measurement."""
    device: str
    """Device of the verdict."""
    origin: str
    """Where the task comes from."""
    licence: str
    """Licence of the task: SPDX identifier, or `unknown`."""
    language: Language
    """Language of the kernel."""
    operator: Operator
    """How the proposal came about."""
    candidate_hash: str
    """Content hash of the kernel."""
    run_id: str
    """Run in which it was found."""
    attempt: int
    """Number of the attempt in that run."""


def chat_row(task: Task, attempt: AttemptRecord) -> ChatRow:
    """Return the row of an attempt that passed.

    Raises
    ------
    ValueError
        The attempt has no candidate, or its verdict is not `passed`.
    """
    candidate, verdict, measurement, trace = attempt.candidate, attempt.verdict, attempt.measurement, attempt.trace
    if candidate is None or verdict is None or not verdict.passed:
        msg = f"attempt {attempt.number} of run {attempt.run_id} did not pass"
        raise ValueError(msg)
    from_task_alone = trace.kind is TraceKind.MODEL and attempt.operator is Operator.TRANSLATE
    return ChatRow(
        messages=_messages(task, candidate, verdict.device),
        reasoning=trace.reasoning if from_task_alone else "",
        trace_kind=trace.kind,
        model=trace.model,
        task=task.slug,
        task_hash=task.content_hash,
        status=verdict.status,
        speedup=None if measurement is None else measurement.speedup,
        basis=None if measurement is None else measurement.basis,
        device=verdict.device,
        origin=task.provenance.origin,
        licence=task.provenance.licence,
        language=candidate.language,
        operator=attempt.operator,
        candidate_hash=candidate.content_hash,
        run_id=attempt.run_id,
        attempt=attempt.number,
    )


def _messages(task: Task, candidate: Candidate, device: str) -> tuple[Message, ...]:
    user = (
        _environment()
        .get_template("chat_user.jinja")
        .render(
            direction=task.direction.value,
            device=device,
            language=candidate.language.value,
            entry=candidate.entry,
            saved=task.saved,
            gradients=task.gradients,
            source=task.source,
        )
    )
    return (
        Message(role="system", content=_prompt("chat_system.txt").strip()),
        Message(role="user", content=user),
        Message(role="assistant", content=_answer(candidate)),
    )


def _answer(candidate: Candidate) -> str:
    """Return the files of the candidate as fenced blocks; named when there is more than one."""
    blocks = []
    for file in candidate.files:
        label = {".toml": "toml", ".py": "python"}.get(Path(file.name).suffix, "cuda")
        block = fenced(file.text, label)
        blocks.append(block if len(candidate.files) == 1 else f"`{file.name}`\n\n{block}")
    return "\n\n".join(blocks)


def fenced(text: str, label: str) -> str:
    """Return `text` as a Markdown code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}{label}\n{text}{end}{fence}"


@cache
def _environment() -> Environment:
    # Plain text for a model, not HTML: nothing is to be escaped.
    environment = Environment(undefined=StrictUndefined, autoescape=False, loader=FunctionLoader(_prompt))  # noqa: S701
    environment.filters["fenced"] = fenced
    return environment


def _prompt(name: str) -> str:
    return files("dataset").joinpath("prompts", name).read_text(encoding="utf-8")

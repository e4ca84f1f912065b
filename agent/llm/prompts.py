"""Prompts: the Jinja files beside this one, filled with what a proposer may know."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.devices import device_figures
from agent.examples import Example
from agent.values import ProposalRequest
from dataset.values import Message
from sandbox.values import Language
from simgpu.specs import DeviceSpec
from tasks.values import Axis, InputSpec, Purpose

_SYSTEM = {Language.CUDA: "system", Language.TRITON: "system_triton"}
"""The system prompt of each language that a model may be asked for."""

FOLDER = Path(__file__).parent / "prompts"


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - plain text for a model, not HTML
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["describe"] = describe_tensor
    environment.filters["fence"] = fence
    environment.filters["legal"] = legal
    environment.filters["label"] = label
    environment.filters["clip"] = clip
    environment.filters["figure"] = figure
    return environment


def render(template: str, **values: object) -> str:
    """Fill one of the prompt files; a name that the file uses and `values` lacks is an error."""
    return _environment().get_template(f"{template}.jinja").render(values).strip()


def messages_for(request: ProposalRequest, example: Example | None = None) -> tuple[Message, ...]:
    """Return the chat that asks for what the request says: one system and one user message.

    Parameters
    ----------
    request
        What is asked for.
    example
        A right kernel of another task, shown where nothing of the run's own is to be shown yet.
    """
    figures: DeviceSpec | None = device_figures(request.device)
    system = render(
        _SYSTEM[request.language], entry=request.task.direction.value, device=request.device, figures=figures
    )
    workloads = [w for purpose in (Purpose.BENCH, Purpose.VERIFY) for w in request.task.workloads_for(purpose)]
    user = render(
        request.operator.value,
        task=request.task,
        workloads=workloads,
        parents=request.parents,
        feedback=request.feedback,
        ordinal=request.ordinal,
        language=request.language.value,
        example=example,
    )
    return Message(role="system", content=system), Message(role="user", content=user)


def describe_tensor(spec: InputSpec) -> str:
    """Return one tensor as a prompt spells it: `x: float32[16, 256]`, with its legal values where they are special."""
    values = f", {spec.domain}" if str(spec.domain) else ""
    return f"{spec.name}: {spec.dtype.value}[{', '.join(map(str, spec.shape))}]{values}"


def legal(axis: Axis) -> str:
    """Return the legal sizes of an axis as a prompt spells them: `rows` from 1, `cols` from 2 to 128."""
    return f"`{axis.name}` from {axis.low}" + ("" if axis.high is None else f" to {axis.high}")


def label(name: str) -> str:
    """Return the label of a fenced block that holds a file of this name."""
    return {".cu": "cuda", ".py": "python", ".toml": "toml"}.get(Path(name).suffix, "")


def fence(text: str, language: str = "") -> str:
    """Return text as a fenced block that its own backticks cannot end."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text.rstrip()}\n{marks}"


def clip(text: str, length: int = 4000) -> str:
    """Return at most `length` characters: the beginning, which names the first error, and the end."""
    if len(text) <= length:
        return text
    return f"{text[: length * 3 // 4]}\n[... {len(text) - length} characters left out ...]\n{text[-length // 4 :]}"


def figure(value: float) -> str:
    """Return a count as a person writes it: `131,072`; fractions keep three digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"

"""The prompts, whole, as a model gets them; `python -m tests.agent.test_agent_prompts` writes the snapshots anew."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.examples import Example
from agent.feedback import feedback_for
from agent.llm.prompts import FOLDER, clip, describe_tensor, fence, messages_for, render
from agent.llm.reply import blocks, candidate_from
from agent.redaction import public_task
from agent.scripted import ScriptedEvaluator
from agent.values import Parent, ProposalRequest
from dataset.values import Operator
from sandbox.build import build
from sandbox.values import Language, SourceFile
from tasks.values import (
    Axis,
    Direction,
    Domain,
    DomainKind,
    DType,
    InputSpec,
    OutputProperty,
    PropertyKind,
    Task,
    Tolerance,
)
from tests.agent.samples import candidate, kernel, sample_task
from verifier.guard import inspect

SNAPSHOTS = Path(__file__).parent / "snapshots"


def parent(number: int, directive: str) -> Parent:
    proposed = candidate(kernel(directive, str(number)))
    outcome = ScriptedEvaluator().evaluate(sample_task(), proposed, "sim:h100", 0)
    return Parent(attempt=number, candidate=proposed, verdict=outcome.verdict, measurement=outcome.measurement)


def request(operator: Operator, *parents: Parent, task: Task | None = None, ordinal: int = 0) -> ProposalRequest:
    return ProposalRequest(
        task=public_task(task or sample_task()),
        device="sim:h100",
        operator=operator,
        parents=parents,
        feedback="\n\n".join(feedback_for(p) for p in parents),
        seed=1,
        ordinal=ordinal,
    )


def backward_task() -> Task:
    return sample_task().model_copy(
        update={"direction": Direction.BACKWARD, "saved": ("x", "output"), "gradients": ("x",)}
    )


def judged_task() -> Task:
    """A task with everything that a manifest may say about what is right."""
    rearranged = OutputProperty(kind=PropertyKind.REARRANGES, of="x", reason="equal keys in any order")
    return sample_task().model_copy(
        update={
            "formula": "y_ij = max(x_ij, 0)",
            "axes": (Axis(name="rows", default=4, low=0), Axis(name="cols", default=8, low=2, high=64)),
            "constraints": ("cols % 2 == 0", "rows <= cols"),
            "properties": (OutputProperty(kind=PropertyKind.SORTED, reason="it is a sort"), rearranged),
            "tolerance": Tolerance(atol=1e-3, rtol=0.0),
        }
    )


def example() -> Example:
    other = sample_task().model_copy(update={"slug": "clamp", "title": "Clamp"})
    return Example(task=other, file=SourceFile(name="clamp.cu", text=kernel("speedup=1.0")))


def prompts() -> dict[str, str]:
    """Every prompt, by the name of its snapshot."""
    fast, slow = parent(3, "speedup=2.5"), parent(5, "speedup=1.5")
    asked = {
        "translate": request(Operator.TRANSLATE),
        "translate-again": request(Operator.TRANSLATE, ordinal=2),
        "translate-backward": request(Operator.TRANSLATE, task=backward_task()),
        "translate-judged": request(Operator.TRANSLATE, task=judged_task()),
        "repair": request(Operator.REPAIR, parent(2, "status=wrong_values")),
        "mutate": request(Operator.MUTATE, fast, ordinal=1),
        "crossover": request(Operator.CROSSOVER, fast, slow),
        "triton": request(Operator.TRANSLATE).model_copy(update={"language": Language.TRITON}),
    }
    users = {name: messages_for(entry)[1].content for name, entry in asked.items()}
    shown = messages_for(asked["translate"], example())[1].content
    return users | {
        "translate-example": shown,
        "system": messages_for(asked["translate"])[0].content,
        "system-triton": messages_for(asked["triton"])[0].content,
        "system-backward": messages_for(asked["translate-backward"])[0].content,
    }


@pytest.mark.parametrize("name", sorted(prompts()))
def test_a_prompt_is_as_it_was_agreed(name: str):
    assert prompts()[name] + "\n" == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


def test_there_is_a_snapshot_of_every_prompt_and_no_other():
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == set(prompts())
    operators = {operator.value for operator in Operator}
    assert {path.stem for path in FOLDER.glob("*.jinja")} == operators | {
        *("system", "system_triton", "feedback", "_device", "_task", "_example", "_example_triton")
    }


def test_a_name_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("translate", task=sample_task(), workloads=[])


def test_a_prompt_never_names_hidden_sizes():
    assert all("7919" not in text for text in prompts().values())


@pytest.mark.parametrize("operator", [Operator.REPAIR, Operator.MUTATE])
def test_only_a_first_prompt_shows_an_example(operator: Operator):
    asked = request(operator, parent(2, "status=wrong_values"))
    assert messages_for(asked, example()) == messages_for(asked)


def test_the_example_builds_and_breaks_no_rule():
    shown = next(block for block in blocks(prompts()["system"]) if block.tag == "cuda")
    example = candidate_from(fence(shown.text, "cuda"), "forward")
    assert inspect(example) == ()
    built = build(example, "sm_90")
    assert [kernel.spill_stores for kernel in built.kernels] == [0]


def test_the_triton_example_builds_and_breaks_no_rule():
    pytest.importorskip("triton")
    shown = next(block for block in blocks(prompts()["system-triton"]) if block.tag == "python")
    example = candidate_from(fence(shown.text, "python"), "forward", Language.TRITON)
    assert inspect(example) == ()
    assert build(example, "sm_90").jit == ("double_and_add",)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Domain(), "x: int64[3, 4]"),
        (Domain(kind=DomainKind.INDEX, high=10), "x: int64[3, 4], in [0, 10)"),
        (Domain(kind=DomainKind.MASK), "x: int64[3, 4], 0 or 1"),
        (Domain(kind=DomainKind.POSITIVE), "x: int64[3, 4], positive"),
        (Domain(kind=DomainKind.PROBABILITY), "x: int64[3, 4], in [0, 1]"),
    ],
)
def test_a_tensor_is_described_with_its_legal_values(domain: Domain, text: str):
    assert describe_tensor(InputSpec(name="x", shape=(3, 4), dtype=DType.INT64, domain=domain)) == text


@given(st.text(alphabet="`ab \n", max_size=60))
def test_a_fence_is_not_ended_by_the_text_within(text: str):
    (block,) = blocks(fence(text, "cuda"))
    assert block.closed
    assert block.text.rstrip() == text.rstrip()


@given(st.text(max_size=300), st.integers(8, 100))
def test_a_clip_keeps_the_beginning(text: str, length: int):
    clipped = clip(text, length)
    assert clipped.startswith(text[: length // 2])
    assert len(clipped) <= length + 50


if __name__ == "__main__":
    for snapshot in SNAPSHOTS.glob("*.txt"):
        snapshot.unlink()
    for snapshot_name, prompt in prompts().items():
        (SNAPSHOTS / f"{snapshot_name}.txt").write_text(prompt + "\n", encoding="utf-8")

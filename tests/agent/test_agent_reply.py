"""Replies of models, as they come."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.reply import Problem, ReplyError, blocks, candidate_from, split_reasoning
from sandbox.values import Language
from tests.agent.samples import kernel

WHOLE = kernel("speedup=1.0")
DEVICE = 'extern "C" __global__ void k(float* x) { x[0] = 1; }\n'
LAUNCH = '[[launch]]\nkernel = "k"\n'


def block(text: str, tag: str = "cuda", marks: str = "```") -> str:
    return f"{marks}{tag}\n{text}{marks}\n"


@pytest.mark.parametrize("tag", ["cuda", "CUDA", "cpp", "c++", "cu", "", "cuda title=kernel.cu", "{.cuda}"])
def test_the_usual_language_tags_are_code(tag: str):
    assert candidate_from(f"Here:\n\n{block(WHOLE, tag)}Done.", "forward").files[0].text == WHOLE


@pytest.mark.parametrize("marks", ["```", "````", "~~~"])
def test_every_kind_of_fence_is_read(marks: str):
    assert candidate_from(block(WHOLE, marks=marks), "forward").files[0].text == WHOLE


def test_the_last_block_with_the_entry_is_the_kernel():
    other = WHOLE.replace("256", "128")
    text = (
        block("x = 1\n", "python") + block(other) + block(WHOLE) + block("k<<<1, 1>>>();\n") + block("nvcc a\n", "bash")
    )
    assert candidate_from(text, "forward").files[0].text == WHOLE


def test_code_in_a_list_is_unindented():
    indented = "\n".join(f"   {line}" if line else "" for line in block(WHOLE).splitlines())
    assert candidate_from(f"1. The kernel:\n\n{indented}\n", "forward").files[0].text == WHOLE


def test_a_backward_task_needs_backward():
    with pytest.raises(ReplyError, match="no entry: no block of code defines the host function `backward`"):
        candidate_from(block(WHOLE), "backward")
    assert candidate_from(block(WHOLE.replace("forward", "backward")), "backward").entry == "backward"


def test_a_declaration_is_not_a_definition():
    with pytest.raises(ReplyError, match="no entry"):
        candidate_from(block("torch::Tensor forward(torch::Tensor x);\n"), "forward")


def test_device_code_with_a_launch_block_is_raw():
    found = candidate_from(block(DEVICE) + block(LAUNCH, "toml"), "forward")
    assert found.language is Language.RAW
    assert [(file.name, file.text) for file in found.files] == [("kernel.cu", DEVICE), ("launch.toml", LAUNCH)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", Problem.NO_CODE),
        ("I cannot do that.", Problem.NO_CODE),
        (block("print(1)\n", "python"), Problem.NO_CODE),
        (block("\n"), Problem.NO_CODE),
        (block(DEVICE), Problem.NO_ENTRY),
        ("```cuda\n" + WHOLE, Problem.TRUNCATED),
        ("```cuda\n" + WHOLE[:40], Problem.TRUNCATED),
    ],
)
def test_what_holds_no_kernel_says_why(text: str, problem: Problem):
    with pytest.raises(ReplyError) as caught:
        candidate_from(text, "forward")
    assert caught.value.problem is problem


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("plain", "plain", ""),
        ("<think>a</think>b", "b", "a"),
        ("<think>a</think>b<think>c</think>d", "bd", "a\n\nc"),
        ("a</think>b", "b", "a"),
        ("<think>cut", "", "cut"),
        ("<thinking>a\nb</thinking>\n\nc", "c", "a\nb"),
        ("x < think > y", "x < think > y", ""),
    ],
)
def test_reasoning_is_split_off(text: str, answer: str, reasoning: str):
    thought = split_reasoning(text)
    assert (thought.answer, thought.reasoning) == (answer, reasoning)


@given(st.text(alphabet="`~ \nab<>/think*->1.", max_size=200))
def test_any_text_is_read_without_a_crash(text: str):
    split_reasoning(text)
    for found in blocks(text):
        assert isinstance(found.closed, bool)
    with suppress(ReplyError):
        candidate_from(text, "forward")


@given(st.integers(0, 400))
def test_a_reply_cut_anywhere_never_gives_half_a_kernel(cut: int):
    text = f"Here:\n\n{block(WHOLE)}"[:cut]
    try:
        found = candidate_from(text, "forward")
    except ReplyError:
        return
    assert found.files[0].text == WHOLE

"""The kernel that a first prompt shows: near, right, of another task, and the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.examples import Examples, operators
from agent.llm.proposer import LlmProposer
from agent.settings import AgentSettings
from agent.values import ProposalRequest
from dataset.values import Operator
from sandbox.values import Language
from tasks.loading import library, library_task
from tasks.values import Family, Task
from tests.agent.openai_server import ScriptedEndpoint, reply
from tests.agent.samples import fenced, kernel, sample_task

SHIPPED = Examples.of(AgentSettings())
LINEAR_GELU = """import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Linear(8, 8)

    def forward(self, x):
        return torch.nn.functional.gelu(self.softmax(x)).view(-1) @ x + 1


def get_inputs():
    return [torch.sigmoid(torch.randn(4, 8))]
"""


def own(slug: str) -> Task:
    """The same op as a user would give it: without a family, under a name of his own."""
    return library_task(slug).model_copy(update={"slug": "mine", "family": Family.OTHER})


def shown(task: Task, language: Language = Language.CUDA, examples: Examples = SHIPPED) -> str | None:
    example = examples.nearest(task, language)
    return None if example is None else example.task.slug


def test_operators_are_read_whatever_they_are_called():
    assert operators(LINEAR_GELU) == {"linear", "gelu", "matmul", "add"}
    assert operators("y = torch.log_softmax(x, 1)") == operators("y = nn.LogSoftmax(1)(x)") == {"logsoftmax"}


@pytest.mark.parametrize(
    ("slug", "example"),
    [
        ("softmax", "masked_softmax"),
        ("geglu", "gelu_tanh"),
        ("cross_entropy_backward", "softmax_backward"),
        ("fp8_matmul", "int4_matmul"),
        ("coo_spmv", "csr_spmv"),
    ],
)
def test_the_nearest_task_of_the_family_is_shown(slug: str, example: str):
    assert shown(library_task(slug)) == example


def test_no_task_is_shown_its_own_answer():
    for task in library()[::3]:
        example = SHIPPED.nearest(task, Language.CUDA)
        assert example is not None
        assert example.task.slug != task.slug
        assert example.task.family is task.family
        assert example.task.direction is not task.direction or operators(example.task.source) != operators(task.source)


@pytest.mark.parametrize("slug", ["softmax", "layernorm", "matmul"])
def test_an_op_of_the_users_is_not_shown_the_same_op_under_another_name(slug: str):
    example = shown(own(slug))
    assert example is not None
    assert operators(library_task(example).source) != operators(library_task(slug).source)


def test_a_task_with_nothing_in_common_is_shown_nothing():
    strange = sample_task().model_copy(update={"source": "import torch\n\n\ndef f(x):\n    return torch.lgamma(x)\n"})
    assert shown(strange) is None


def test_an_example_is_in_the_language_that_is_asked_for():
    example = SHIPPED.nearest(own("geglu"), Language.TRITON)
    assert example is not None
    assert example.file.name.endswith(".py")
    assert "@triton.jit" in example.file.text
    assert shown(own("geglu"), Language.RAW) is None


def test_what_is_too_long_is_passed_over_and_never_cut(tmp_path: Path):
    (tmp_path / "masked_softmax.cu").write_text("// long\n" * 2000, encoding="utf-8")
    (tmp_path / "log_softmax.cu").write_text("// short\n", encoding="utf-8")
    assert shown(library_task("softmax"), examples=Examples(tmp_path, 12_000)) == "log_softmax"
    assert shown(library_task("softmax"), examples=Examples(tmp_path, 40_000)) == "masked_softmax"
    assert shown(library_task("softmax"), examples=Examples(tmp_path, 0)) is None


def test_the_doctor_says_where_they_are_or_that_there_are_none(tmp_path: Path):
    kernels = Path(__file__).parents[2] / "examples" / "kernels"
    assert SHIPPED.finding().ok
    assert SHIPPED.finding().detail == f"{len(list(kernels.glob('*.cu')))} in {kernels}"
    empty = Examples.of(AgentSettings(example_kernels_dir=tmp_path)).finding()
    assert (empty.ok, empty.required, empty.detail) == (False, False, f"0 in {tmp_path}")
    assert "KERNELWRIGHT_EXAMPLE_KERNELS_DIR" in empty.remedy
    assert Examples(None, 1).finding().detail == "none came with this installation"


@pytest.mark.parametrize(("characters", "shows"), [(12_000, True), (0, False)])
def test_the_proposer_shows_it_first_and_records_it(characters, shows):
    asked = ProposalRequest(task=library_task("softmax"), device="sim:h100", operator=Operator.TRANSLATE, seed=1)
    with ScriptedEndpoint([reply(fenced(kernel("speedup=1.0")))]) as endpoint:
        settings = AgentSettings(model_base_url=endpoint.url, example_characters=characters)
        proposal = LlmProposer("scripted", settings).propose(asked)
    assert ("A right kernel for another task, `masked_softmax`" in proposal.trace.messages[1].content) is shows

"""The search with the real client against a real HTTP endpoint; only the evaluator is scripted."""

from __future__ import annotations

from contextlib import suppress

import pytest

from agent.llm.proposer import LlmProposer
from agent.proposers import check_language
from agent.scripted import ScriptedEvaluator
from agent.search import run_search
from agent.settings import AgentSettings
from dataset.archive import Archive
from dataset.values import AttemptRecord, Operator, RunRecord, RunState
from sandbox.values import Language
from tasks.errors import InfraError, UserError
from tests.agent.openai_server import Answer, ScriptedEndpoint, failure, reply, web_page
from tests.agent.samples import fenced, kernel, sample_config

GOOD = reply(fenced(kernel("speedup=2.0")))
WRONG = reply(fenced(kernel("status=wrong_values")))


def optimise(
    archive: Archive, settings: AgentSettings, endpoint: ScriptedEndpoint, *, key: str = "right", **config: object
) -> tuple[RunRecord, tuple[AttemptRecord, ...]]:
    fields = {"samples": 1, "repairs": 1, "generations": 0, "model": "scripted"} | config
    run = archive.create_run(sample_config(**fields))
    reached = {"model_base_url": endpoint.url, "model_api_key": key, "model_retries": 1}
    proposer = LlmProposer(run.config.model, AgentSettings.load(**reached))
    with suppress(UserError, InfraError):  # the run records them
        run_search(archive, run.id, proposer, evaluator=ScriptedEvaluator(), settings=settings)
    return archive.run(run.id), archive.attempts(run.id)


def test_a_good_reply_becomes_the_best_kernel(archive: Archive, settings: AgentSettings):
    with ScriptedEndpoint([GOOD]) as endpoint:
        run, (attempt,) = optimise(archive, settings, endpoint)
    assert (run.state, run.best_attempt) == (RunState.FINISHED, 0)
    assert (attempt.trace.input_tokens, attempt.trace.output_tokens) == (100, 50)


def test_a_wrong_kernel_is_repaired_with_the_verdict_in_the_prompt(archive: Archive, settings: AgentSettings):
    with ScriptedEndpoint([WRONG, GOOD]) as endpoint:
        run, attempts = optimise(archive, settings, endpoint)
        asked = endpoint.requests[1]["messages"][1]["content"]
    assert [a.operator for a in attempts] == [Operator.TRANSLATE, Operator.REPAIR]
    assert run.best_attempt == 1
    assert "`wrong_values`" in asked
    assert "the script says wrong_values" in asked
    assert kernel("status=wrong_values") in asked


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (reply("Sorry."), "no code"),
        (reply(fenced(kernel("speedup=9.0")), finish_reason=None), "truncated"),
        (reply(fenced(kernel("speedup=9.0")), finish_reason=None, break_off=True), "truncated"),
        (reply(fenced(kernel("speedup=9.0")), insert=b"data: {oops\n\n"), "malformed"),
    ],
)
def test_an_unusable_reply_is_recorded_and_asked_for_again(archive, settings, broken: Answer, problem: str):
    with ScriptedEndpoint([broken, GOOD]) as endpoint:
        run, (first, second) = optimise(archive, settings, endpoint)
    assert first.problem.startswith(problem)
    assert first.verdict is None
    assert second.operator is Operator.TRANSLATE
    assert run.best_attempt == 1


def test_an_unusable_reply_is_not_asked_for_again_beyond_the_budget(archive: Archive, settings: AgentSettings):
    with ScriptedEndpoint([reply("Sorry."), GOOD]) as endpoint:
        run, attempts = optimise(archive, settings, endpoint, budget_tokens=150)
    assert len(attempts) == 1
    assert run.message == "stopped at its budget: 150 of 150 tokens used"


@pytest.mark.parametrize("hiccup", [failure(429, retry_after="0"), failure(500, retry_after="0")])
def test_a_passing_failure_of_the_endpoint_leaves_no_trace(archive, settings, hiccup: Answer):
    with ScriptedEndpoint([hiccup, GOOD]) as endpoint:
        run, attempts = optimise(archive, settings, endpoint)
    assert (run.state, len(attempts)) == (RunState.FINISHED, 1)


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        (ScriptedEndpoint([GOOD], key="another"), "refuses the key (401): set KERNELWRIGHT_MODEL_API_KEY"),
        (ScriptedEndpoint([GOOD], models=("qwen",)), "does not know the model scripted; it offers qwen"),
        (ScriptedEndpoint([web_page()]), "answered with text/html instead of a model's reply"),
        (ScriptedEndpoint([failure(503, retry_after="0")]), "failed on every try (503)"),
    ],
)
def test_what_the_user_must_see_fails_the_run_with_one_sentence(archive, settings, endpoint, sentence: str):
    with endpoint:
        run, attempts = optimise(archive, settings, endpoint)
    assert run.state is RunState.FAILED
    assert sentence in run.message
    assert "\n" not in run.message
    assert attempts == ()


def test_a_dead_endpoint_fails_the_run_which_goes_on_when_it_is_back(archive: Archive, settings: AgentSettings):
    with ScriptedEndpoint([GOOD]) as endpoint:
        url = endpoint.url
    run = archive.create_run(sample_config(samples=1, generations=0))
    dead = LlmProposer("scripted", AgentSettings.load(model_base_url=url, model_retries=0))
    with pytest.raises(InfraError, match="cannot reach"):
        run_search(archive, run.id, dead, evaluator=ScriptedEvaluator(), settings=settings)
    failed = archive.run(run.id)
    assert failed.state is RunState.FAILED
    assert f"cannot reach the model endpoint {url}" in failed.message
    with ScriptedEndpoint([GOOD]) as endpoint:
        back = LlmProposer("scripted", AgentSettings.load(model_base_url=endpoint.url))
        resumed = run_search(archive, run.id, back, evaluator=ScriptedEvaluator(), settings=settings)
    assert (resumed.state, resumed.best_attempt) == (RunState.FINISHED, 0)


def test_every_operator_asks_with_its_own_prompt(archive: Archive, settings: AgentSettings):
    def answer(body: dict[str, object]) -> Answer:
        number = len(endpoint.requests)
        return reply(fenced(kernel(f"speedup={1 + number / 10}", str(number))))

    with ScriptedEndpoint(answer) as endpoint:
        run, attempts = optimise(archive, settings, endpoint, samples=2, generations=3, population=4)
        asked = "\n".join(body["messages"][1]["content"] for body in endpoint.requests)
    assert run.state is RunState.FINISHED
    assert {a.operator for a in attempts} == {Operator.TRANSLATE, Operator.MUTATE, Operator.CROSSOVER}
    assert "Make it faster" in asked
    assert "takes the better idea of each" in asked
    assert "7919" not in asked, "hidden sizes"


TRITON = """import torch
import triton
import triton.language as tl


@triton.jit
def k(x, y, n, B: tl.constexpr):  # scripted: speedup=2.0
    i = tl.program_id(0) * B + tl.arange(0, B)
    tl.store(y + i, tl.load(x + i, mask=i < n), mask=i < n)


def forward(x):
    y = torch.empty_like(x)
    k[(triton.cdiv(x.numel(), 256),)](x, y, x.numel(), B=256)
    return y
"""


def test_a_run_in_triton_asks_for_python_and_takes_it(archive: Archive, settings: AgentSettings):
    wrong_language = reply(fenced(kernel("speedup=9.0")))
    right = reply(f"A kernel:\n\n```python\n{TRITON}```\n")
    with ScriptedEndpoint([wrong_language, right]) as endpoint:
        _, (first, second) = optimise(archive, settings, endpoint, language="triton")
        system, asked = (message["content"] for message in endpoint.requests[0]["messages"])
    assert "@triton.jit" in system
    assert "torch/extension.h" not in system
    assert "Python file with Triton kernels" in asked
    assert first.problem == "no code: the reply has no fenced block of Python code"
    assert second.candidate is not None
    assert (second.candidate.language, second.candidate.entry) == (Language.TRITON, "forward")
    assert [(file.name, file.text) for file in second.candidate.files] == [("kernel.py", TRITON)]


def test_who_writes_what_is_said_before_anything_is_asked():
    check_language("offline", Language.CUDA)
    check_language("some-model", Language.TRITON)
    with pytest.raises(UserError, match="the offline proposer writes cuda"):
        check_language("offline", Language.TRITON)
    with pytest.raises(UserError, match="proposers write cuda or triton, not modelnew"):
        check_language("some-model", Language.MODELNEW)

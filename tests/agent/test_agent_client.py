"""The LLM proposer against a real HTTP server: good replies, and everything that endpoints get wrong."""

from __future__ import annotations

import time

import pytest

from agent.llm.proposer import LlmProposer
from agent.settings import AgentSettings
from agent.values import Proposal, ProposalRequest
from dataset.values import Operator
from tasks.errors import InfraError, UserError
from tests.agent.openai_server import Answer, ScriptedEndpoint, failure, reply, web_page, whole_reply
from tests.agent.samples import fenced, kernel, sample_task

GOOD = fenced(kernel("speedup=2.0"))


def propose(endpoint: ScriptedEndpoint, **flags: object) -> Proposal:
    settings = AgentSettings.load(**{"model_base_url": endpoint.url, "model_api_key": "secret", **flags})
    request = ProposalRequest(task=sample_task(), device="sim:h100", operator=Operator.TRANSLATE, seed=1)
    return LlmProposer("scripted", settings).propose(request)


def test_a_good_reply_is_a_candidate_with_its_trace():
    with ScriptedEndpoint([reply(GOOD, reasoning="think first", usage=(321, 123), reasoning_tokens=40)]) as endpoint:
        proposal = propose(endpoint)
    assert proposal.problem == ""
    assert proposal.candidate is not None
    assert proposal.candidate.files[0].text == kernel("speedup=2.0")
    trace = proposal.trace
    assert (trace.model, trace.finish_reason, trace.reasoning) == ("scripted", "stop", "think first")
    assert (trace.input_tokens, trace.output_tokens, trace.reasoning_tokens) == (321, 123, 40)
    assert [message.role for message in trace.messages] == ["system", "user", "assistant"]
    assert trace.seconds > 0
    assert trace.cost_usd == 0


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_found_in_each_of_its_places(field: str):
    with ScriptedEndpoint([reply(GOOD, reasoning="because", reasoning_field=field)]) as endpoint:
        assert propose(endpoint).trace.reasoning == "because"


def test_think_tags_are_split_off_the_answer():
    draft = "<think>maybe\n```cuda\ntorch::Tensor forward(int wrong) { }\n```\n</think>"
    with ScriptedEndpoint([reply(draft + GOOD)]) as endpoint:
        proposal = propose(endpoint)
    assert proposal.candidate is not None
    assert "wrong" not in proposal.candidate.files[0].text
    assert proposal.trace.reasoning.startswith("maybe")
    assert "think" not in proposal.trace.messages[-1].content


def test_surrogates_that_a_stream_tore_apart_are_put_together_and_lone_ones_replaced():
    halves = (
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\\ude00 \\ud800"}}]}\n\n',
    )
    with ScriptedEndpoint([reply(GOOD, insert=b"".join(halves))]) as endpoint:
        answer = propose(endpoint).trace.messages[-1].content
    assert "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}" in answer


def test_a_server_that_does_not_stream_is_understood():
    with ScriptedEndpoint([whole_reply(GOOD)]) as endpoint:
        proposal = propose(endpoint)
    assert proposal.candidate is not None
    assert proposal.trace.output_tokens == 5


def test_tokens_are_estimated_where_no_usage_is_reported():
    with ScriptedEndpoint([reply(GOOD, usage=None)]) as endpoint:
        trace = propose(endpoint).trace
    assert trace.output_tokens == len(GOOD) // 4
    assert trace.input_tokens > 500


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (reply("I would rather not."), "no code: the reply has no fenced block of CUDA code"),
        (reply("```cuda\nint x;\n```"), "no entry: no block of code defines the host function `forward`"),
        (reply(GOOD, finish_reason=None), "truncated: the stream ended without a finish reason"),
        (reply(GOOD, finish_reason="length"), "truncated: the reply reached its longest length"),
        (reply(GOOD, finish_reason="content_filter"), "refused: the endpoint ended the reply with `content_filter`"),
        (reply(GOOD, finish_reason=None, break_off=True), "truncated: the connection broke"),
        (reply(GOOD, insert=b"data: {not json\n\n"), "malformed: a part of the stream is not"),
        (reply(GOOD, insert=b'data: ["a", "list"]\n\n'), "malformed: a part of the stream is not"),
        (reply(GOOD, insert=b'data: {"choices": [null]}\n\n'), "malformed: a part of the stream is not"),
        (reply(GOOD, insert=b'data: {"error": {"message": "engine died"}}\n\n'), "truncated: the endpoint reported"),
        (
            Answer(content_type="application/json", parts=(b'{"choices": 3}',)),
            "malformed: the reply",
        ),
        (
            Answer(content_type="application/json", parts=(b'{"error": {"message": "busy"}}',)),
            "truncated: the endpoint reported: busy",
        ),
        (failure(400, "too many tokens", code="context_length_exceeded"), "refused: too many tokens"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_broken_reply_is_a_proposal_with_its_problem(answer, problem: str):
    with ScriptedEndpoint([answer]) as endpoint:
        proposal = propose(endpoint)
    assert proposal.candidate is None
    assert proposal.problem.startswith(problem)
    assert proposal.trace.messages[0].role == "system"


def test_a_429_is_tried_again_after_the_time_that_it_names():
    with ScriptedEndpoint([failure(429, retry_after="1"), reply(GOOD)]) as endpoint:
        start = time.monotonic()
        assert propose(endpoint).candidate is not None
        assert time.monotonic() - start >= 1.0
        assert len(endpoint.requests) == 2


def test_a_500_is_tried_again():
    with ScriptedEndpoint([failure(500, retry_after="0"), reply(GOOD)]) as endpoint:
        assert propose(endpoint).candidate is not None


@pytest.mark.parametrize(("status", "text"), [(429, "refuses more requests for now"), (503, "failed on every try")])
def test_an_endpoint_that_keeps_failing_is_the_machines_fault(status: int, text: str):
    with ScriptedEndpoint([failure(status, "overloaded", retry_after="0")]) as endpoint:
        with pytest.raises(InfraError, match=f"{text}.*overloaded"):
            propose(endpoint, model_retries=1)
        assert len(endpoint.requests) == 2


def test_a_refused_key_names_its_setting():
    with (
        ScriptedEndpoint([reply(GOOD)], key="another") as endpoint,
        pytest.raises(UserError, match="KERNELWRIGHT_MODEL_API_KEY"),
    ):
        propose(endpoint)


def test_an_unknown_model_names_those_that_are_offered():
    with (
        ScriptedEndpoint([reply(GOOD)], models=("small", "large")) as endpoint,
        pytest.raises(UserError, match="does not know the model scripted; it offers large, small"),
    ):
        propose(endpoint)


@pytest.mark.parametrize(
    ("models", "ending"),
    [(None, "no such engine$"), (("large",), "no such engine; the model scripted is not among .* large$")],
)
def test_a_400_is_told_with_the_models_that_are_offered(models, ending: str):

    with (
        ScriptedEndpoint([failure(400, "no such engine")], models=models, strict=False) as endpoint,
        pytest.raises(UserError, match=rf"refuses the request \(400\): {ending}"),
    ):
        propose(endpoint)


def test_a_path_without_models_is_said_to_be_no_endpoint():
    with (
        ScriptedEndpoint([failure(404)], models=None) as endpoint,
        pytest.raises(UserError, match="or is no OpenAI-compatible endpoint"),
    ):
        propose(endpoint)


def test_a_dead_endpoint_is_named():
    with ScriptedEndpoint([]) as endpoint:
        url = endpoint.url
    settings = AgentSettings.load(model_base_url=url, model_retries=0)
    request = ProposalRequest(task=sample_task(), device="sim:h100", operator=Operator.TRANSLATE, seed=1)
    with pytest.raises(InfraError, match=f"cannot reach the model endpoint {url}.*KERNELWRIGHT_MODEL_BASE_URL"):
        LlmProposer("scripted", settings).propose(request)


def test_a_web_page_with_status_200_is_a_wrong_base_url():
    with ScriptedEndpoint([web_page()]) as endpoint, pytest.raises(UserError, match="answered with text/html"):
        propose(endpoint)


def test_openai_itself_needs_a_key():
    with pytest.raises(UserError, match="needs a key: set KERNELWRIGHT_MODEL_API_KEY"):
        LlmProposer("gpt-5", AgentSettings.load())

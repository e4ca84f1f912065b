"""The proposer that asks a language model."""

from __future__ import annotations

from agent.examples import Examples
from agent.llm.client import ChatClient, Completion
from agent.llm.prices import cost_usd
from agent.llm.prompts import messages_for
from agent.llm.reply import Problem, ReplyError, candidate_from
from agent.settings import AgentSettings
from agent.values import Proposal, ProposalRequest
from dataset.values import Message, Operator, Trace, TraceKind
from sandbox.values import Candidate

COMPLETE = frozenset({"stop", "end_turn", "eos", "eos_token", "stop_sequence"})
"""Finish reasons of a reply that came to its own end."""


class LlmProposer:
    """Writes candidates by asking a model of an OpenAI-compatible endpoint, one chat per proposal.

    Parameters
    ----------
    model
        As the endpoint names it.
    settings
        Endpoint, key, limits of a call.

    Raises
    ------
    UserError
        The endpoint needs a key and none is set.
    """

    def __init__(self, model: str, settings: AgentSettings) -> None:
        self._client = ChatClient(model, settings)
        self._base_url = settings.model_base_url
        self._examples = Examples.of(settings)

    @property
    def name(self) -> str:
        """The model."""
        return self._client.model

    def propose(self, request: ProposalRequest) -> Proposal:
        """Ask the model; a reply without a usable candidate is a proposal with its problem.

        Raises
        ------
        UserError
            The endpoint refuses the key, does not know the model, or is no such endpoint.
        InfraError
            The endpoint could not be reached or failed on every try.
        """
        first = request.operator is Operator.TRANSLATE
        example = self._examples.nearest(request.task, request.language) if first else None
        messages = messages_for(request, example)
        completion = Completion()
        candidate: Candidate | None = None
        problem = ""
        try:
            completion = self._client.complete(messages)
            candidate = _candidate(completion, request)
        except ReplyError as error:
            problem = str(error)
        return Proposal(
            operator=request.operator, candidate=candidate, trace=self._trace(messages, completion), problem=problem
        )

    def _trace(self, messages: tuple[Message, ...], completion: Completion) -> Trace:
        cost = cost_usd(self.name, self._base_url, completion.input_tokens, completion.output_tokens)
        return Trace(
            kind=TraceKind.MODEL,
            model=self.name,
            messages=(*messages, Message(role="assistant", content=completion.text)),
            reasoning=completion.reasoning,
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            reasoning_tokens=completion.reasoning_tokens,
            cost_usd=cost or 0.0,
            finish_reason=completion.finish_reason,
            seconds=completion.seconds,
        )


def _candidate(completion: Completion, request: ProposalRequest) -> Candidate:
    """Return the reply's candidate; code from a reply that was cut is never taken, however whole it looks.

    Raises
    ------
    ReplyError
        The reply is cut, broken, refused, or holds no kernel.
    """
    if completion.malformed:
        raise ReplyError(Problem.MALFORMED, completion.malformed)
    if completion.failure:
        raise ReplyError(Problem.TRUNCATED, completion.failure)
    if not completion.finish_reason:
        raise ReplyError(Problem.TRUNCATED, "the stream ended without a finish reason")
    if completion.finish_reason == "length":
        raise ReplyError(Problem.TRUNCATED, "the reply reached its longest length; see KERNELWRIGHT_MODEL_MAX_TOKENS")
    if completion.finish_reason.lower() not in COMPLETE:
        raise ReplyError(Problem.REFUSED, f"the endpoint ended the reply with `{completion.finish_reason}`")
    return candidate_from(completion.text, request.task.direction.value, request.language)

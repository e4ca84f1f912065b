"""One chat completion from an OpenAI-compatible endpoint, streamed, with what endpoints get wrong.

The `openai` package retries and keeps to `Retry-After`. What it does not do is here: a stream that ends early
raises nothing, a broken chunk raises `JSONDecodeError`, a web page with status 200 is an empty stream, a server
may ignore `stream`, and reasoning comes back in several places.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import openai
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel, ValidationError

from agent.llm.faults import translated
from agent.llm.reply import split_reasoning
from agent.settings import OPENAI_URL, AgentSettings
from dataset.values import Message
from tasks.errors import UserError
from tasks.values import Value

CHARACTERS_PER_TOKEN = 4
"""For endpoints that report no usage: without an estimate a token budget would never bind."""


class Completion(Value):
    """What one call gave, as far as it came."""

    text: str = ""
    """The answer, without reasoning."""
    reasoning: str = ""
    finish_reason: str = ""
    """Empty when the stream was cut short."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Reasoning included."""
    reasoning_tokens: int = 0
    seconds: float = 0.0
    failure: str = ""
    """What broke the stream off after it had begun; empty when nothing did."""
    malformed: str = ""
    """What about the reply is not a chat completion; empty when it is one."""


class ChatClient:
    """Calls one model of one endpoint.

    Parameters
    ----------
    model
        As the endpoint names it.
    settings
        Endpoint, key, limits.

    Raises
    ------
    UserError
        OpenAI's own endpoint, and no key.
    """

    def __init__(self, model: str, settings: AgentSettings) -> None:
        key = settings.model_api_key
        if key is None and settings.model_base_url.rstrip("/") == OPENAI_URL:
            raise UserError(
                f"the model {model} needs a key: set KERNELWRIGHT_MODEL_API_KEY (or OPENAI_API_KEY), or"
                " KERNELWRIGHT_MODEL_BASE_URL for an endpoint without one, or use --model offline"
            )
        self.model = model
        self._settings = settings
        self._client = OpenAI(
            base_url=settings.model_base_url,
            # The package insists on a key; an endpoint without keys ignores this one.
            api_key=key.get_secret_value() if key is not None else "none",
            timeout=settings.model_timeout_seconds,
            max_retries=settings.model_retries,
        )

    def complete(self, messages: Sequence[Message]) -> Completion:
        """Return the model's reply, or as much of it as came.

        Raises
        ------
        UserError
            The endpoint refuses the key or the request, does not know the model, or is no such endpoint.
        InfraError
            It cannot be reached, or failed on every try.
        ReplyError
            The endpoint refuses this one prompt: too long, or against its policy.
        """
        collector = _Collector()
        start = time.monotonic()
        with translated(self._client, self.model, self._settings.model_base_url):
            self._stream(messages, collector)
        return collector.completion(messages, time.monotonic() - start)

    def _stream(self, messages: Sequence[Message], collector: _Collector) -> None:
        chat: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": m.content} if m.role == "system" else {"role": "user", "content": m.content}
            for m in messages
        ]
        response = self._client.chat.completions.with_raw_response.create(
            model=self.model,
            messages=chat,
            stream=True,
            stream_options={"include_usage": True},
            **self._sampling(),
        )
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == "application/json":  # the server does not stream
            collector.whole(response.http_response.read())
            return
        if kind != "text/event-stream":
            response.http_response.close()
            raise UserError(
                f"{self._settings.model_base_url} answered with {kind or 'no content type'} instead of a model's"
                " reply; is KERNELWRIGHT_MODEL_BASE_URL right? It usually ends in /v1"
            )
        try:
            for chunk in response.parse():
                collector.chunk(chunk.model_dump())
        except openai.APIConnectionError as error:
            collector.failure = f"the connection broke ({_cause(error)})"
        except openai.APIError as error:
            collector.failure = f"the endpoint reported: {error.message}"
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
            collector.malformed = f"a part of the stream is not a chat completion chunk ({error})"

    def _sampling(self) -> dict[str, Any]:
        """Return the keywords that are set; others are not sent, since endpoints refuse what they do not know."""
        settings = self._settings
        sampling: dict[str, Any] = {}
        if settings.model_temperature is not None:
            sampling["temperature"] = settings.model_temperature
        if settings.model_max_tokens is not None:
            # OpenAI's reasoning models refuse the old name, many other servers ignore the new one.
            own = settings.model_base_url.rstrip("/") == OPENAI_URL
            sampling["max_completion_tokens" if own else "max_tokens"] = settings.model_max_tokens
        return sampling


class _Fault(BaseModel):
    message: str = "no reason given"


class _Reported(BaseModel):
    """The part of a reply that says what went wrong."""

    error: _Fault | None = None


class _Collector:
    """Puts a reply together from its parts."""

    def __init__(self) -> None:
        self.failure = ""
        self.malformed = ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish_reason = ""
        self._usage: dict[str, Any] = {}

    def whole(self, body: bytes) -> None:
        """Take a reply that came in one piece; some proxies send an error that way, with status 200."""
        try:
            reported = _Reported.model_validate_json(body).error
            if reported is not None:
                self.failure = f"the endpoint reported: {reported.message}"
                return
            completion = ChatCompletion.model_validate_json(body)
        except ValidationError as error:
            self.malformed = f"the reply is not a chat completion ({error.error_count()} fields are wrong)"
            return
        record = completion.model_dump()
        for choice in record["choices"]:
            choice["delta"] = choice.pop("message")
        self.chunk(record)

    def chunk(self, record: dict[str, Any]) -> None:
        """Take one part of a stream."""
        self._usage = record.get("usage") or self._usage
        for choice in record.get("choices") or ():
            delta = choice.get("delta") or {}
            self._text.append(delta.get("content") or "")
            # DeepSeek and vLLM use the first name, OpenRouter the second; some proxies send both, with the same text.
            self._reasoning.append(delta.get("reasoning_content") or delta.get("reasoning") or "")
            self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def completion(self, messages: Sequence[Message], seconds: float) -> Completion:
        """Return what came."""
        text = _joined(self._text)
        thought = split_reasoning(text)
        apart = _joined(self._reasoning).strip()
        details = self._usage.get("completion_tokens_details") or {}
        asked = sum(len(m.content) for m in messages) // CHARACTERS_PER_TOKEN
        answered = (len(text) + len(apart)) // CHARACTERS_PER_TOKEN
        return Completion(
            text=thought.answer,
            reasoning="\n\n".join(part for part in (apart, thought.reasoning) if part),
            finish_reason=self._finish_reason,
            input_tokens=self._usage.get("prompt_tokens", asked),
            output_tokens=self._usage.get("completion_tokens", answered),
            reasoning_tokens=details.get("reasoning_tokens") or 0,
            seconds=seconds,
            failure=self.failure,
            malformed=self.malformed,
        )


def _joined(parts: Sequence[str]) -> str:
    """Join the parts of a text; some servers cut a stream between the two surrogates of one character.

    What is left of a surrogate without its partner becomes U+FFFD: no file and no database could keep it.
    """
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _cause(error: openai.APIConnectionError) -> str:
    return str(error.__cause__ or error).rstrip(".") or type(error.__cause__).__name__

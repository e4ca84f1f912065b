"""The endpoint's errors as the project's own, each a sentence with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai
from openai import OpenAI

from agent.llm.reply import Problem, ReplyError
from tasks.errors import InfraError, UserError

SHOWN_MODELS = 10
_TOO_LONG = frozenset({"context_length_exceeded", "string_above_max_length"})
_POLICY = frozenset({"content_filter", "content_policy_violation"})


@contextmanager
def translated(client: OpenAI, model: str, base_url: str) -> Iterator[None]:
    """Translate what the `openai` package raises before a stream begins.

    Raises
    ------
    UserError
        A refused key or request, or an unknown model.
    InfraError
        No connection, no answer in time, or the endpoint's own failure, after every retry.
    ReplyError
        This one prompt is refused.
    """
    try:
        yield
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise UserError(
            f"{base_url} refuses the key ({error.status_code}): set KERNELWRIGHT_MODEL_API_KEY"
            f" to a key that may use {model}"
        ) from error
    except openai.NotFoundError as error:
        raise UserError(_unknown_model(client, model, base_url)) from error
    except openai.APITimeoutError as error:
        raise InfraError(
            f"{base_url} did not answer in time; KERNELWRIGHT_MODEL_TIMEOUT_SECONDS sets how long it may take"
        ) from error
    except openai.APIConnectionError as error:
        raise InfraError(
            f"cannot reach the model endpoint {base_url} ({error.__cause__ or error});"
            " is it running, and is KERNELWRIGHT_MODEL_BASE_URL right?"
        ) from error
    except openai.RateLimitError as error:
        raise InfraError(f"{base_url} refuses more requests for now (429): {_sentence(error)}") from error
    except openai.InternalServerError as error:
        raise InfraError(f"{base_url} failed on every try ({error.status_code}): {_sentence(error)}") from error
    except openai.APIStatusError as error:
        raise _refused(client, error, model, base_url) from error


def _refused(client: OpenAI, error: openai.APIStatusError, model: str, base_url: str) -> Exception:
    """Return what a 4xx means: this one prompt, or every request; some servers say 400 to a model's wrong name."""
    if error.code in _TOO_LONG | _POLICY:
        return ReplyError(Problem.REFUSED, _sentence(error))
    text = f"{base_url} refuses the request ({error.status_code}): {_sentence(error)}"
    offered = offered_models(client)
    if offered and model not in offered:
        text += f"; the model {model} is not among those that it offers: {_shown(offered)}"
    return UserError(text)


def _unknown_model(client: OpenAI, model: str, base_url: str) -> str:
    offered = offered_models(client)
    if not offered:
        return f"{base_url} does not know the model {model}, or is no OpenAI-compatible endpoint"
    return f"{base_url} does not know the model {model}; it offers {_shown(offered)}"


def _shown(models: tuple[str, ...]) -> str:
    return ", ".join(models[:SHOWN_MODELS]) + (", ..." if len(models) > SHOWN_MODELS else "")


def offered_models(client: OpenAI) -> tuple[str, ...]:
    """Return the names that `/models` lists, in order; none where that cannot be read."""
    try:
        page = client.with_options(max_retries=0, timeout=10.0).models.list()
        return tuple(sorted(entry.id for entry in page.data))
    except (openai.OpenAIError, AttributeError, TypeError, ValueError):
        return ()  # a web page, another schema, no such path: the caller's own sentence stands without the list


def _sentence(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error.message)

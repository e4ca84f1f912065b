"""Opening a proposer by its name."""

from __future__ import annotations

from agent.llm.proposer import LlmProposer
from agent.offline.proposer import OfflineProposer
from agent.settings import OPENAI_URL, AgentSettings
from agent.values import OFFLINE, Proposer
from sandbox.values import Finding, Language
from tasks.errors import UserError


def open_proposer(model: str | None = None, settings: AgentSettings | None = None) -> Proposer:
    """Return the proposer of a name: `offline`, or a model of the configured endpoint.

    Parameters
    ----------
    model
        None takes `KERNELWRIGHT_MODEL`, which is `offline` unless it is set.
    settings
        Read from the environment when None.

    Raises
    ------
    UserError
        The model's endpoint needs a key and none is set.
    """
    settings = settings or AgentSettings.load()
    name = model or settings.model
    return OfflineProposer() if name == OFFLINE else LlmProposer(name, settings)


def check_language(proposer: str, language: Language) -> None:
    """Refuse a language that a proposer does not write.

    Parameters
    ----------
    proposer
        Its name.
    language
        What candidates are to be written in.

    Raises
    ------
    UserError
        The proposer writes others.
    """
    if language not in {Language.CUDA, Language.TRITON}:
        raise UserError(f"proposers write cuda or triton, not {language}; a kernel in {language} can be verified")
    if proposer == OFFLINE and language is not Language.CUDA:
        raise UserError(f"the offline proposer writes cuda; for {language} name a model with --model")


def endpoint_finding() -> Finding:
    """Return what is configured as model endpoint; nothing is sent to it."""
    settings = AgentSettings.load()
    if settings.model_api_key is not None or settings.model_base_url.rstrip("/") != OPENAI_URL:
        key = "with a key" if settings.model_api_key is not None else "without a key"
        return Finding(name="model endpoint", ok=True, detail=f"{settings.model_base_url}, {key}", required=False)
    return Finding(
        name="model endpoint",
        ok=False,
        detail="none is configured; the offline proposer needs none",
        remedy="set KERNELWRIGHT_MODEL_API_KEY, or KERNELWRIGHT_MODEL_BASE_URL for a local endpoint",
        required=False,
    )

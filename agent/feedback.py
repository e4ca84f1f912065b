"""Feedback on an attempt, in words: what failed and where, or how the kernel ran and what bounds it."""

from __future__ import annotations

from agent.llm.prompts import render
from agent.values import Parent

DIAGNOSTICS = 5
"""At most so many diagnostics: one fault often shows in thousands of threads."""


def feedback_for(parent: Parent) -> str:
    """Return the feedback on one attempt; `parent` is already redacted, and nothing is added here."""
    return render(
        "feedback",
        attempt=parent.attempt,
        verdict=parent.verdict,
        measurement=parent.measurement,
        diagnostics=parent.verdict.diagnostics[:DIAGNOSTICS],
    )

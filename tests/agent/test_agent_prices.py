"""Prices of calls, from the list that is installed."""

from __future__ import annotations

from agent.llm.prices import cost_usd


def test_a_known_model_of_a_known_provider_has_a_price_in_proportion_to_its_tokens():
    once = cost_usd("gpt-4o", "https://api.openai.com/v1", 1_000_000, 100_000)
    twice = cost_usd("gpt-4o", "https://api.openai.com/v1", 2_000_000, 200_000)
    assert once is not None
    assert twice is not None
    assert once > 0
    assert abs(twice - 2 * once) < 1e-9


def test_an_unknown_model_or_a_provider_of_ones_own_has_none():
    assert cost_usd("no-such-model", "https://api.openai.com/v1", 10, 10) is None
    assert cost_usd("gpt-4o", "http://localhost:8080/v1", 10, 10) is None

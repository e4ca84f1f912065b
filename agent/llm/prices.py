"""What a call costs, from the price list that `genai-prices` ships; nothing is fetched."""

from __future__ import annotations

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price


def cost_usd(model: str, base_url: str, input_tokens: int, output_tokens: int) -> float | None:
    """Return the price of one call in US dollars, None where it is not known.

    The endpoint must be a provider of the price list: the same model served by somebody else, or on one's own
    machine, has another price or none.
    """
    usage = PricedUsage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        price = calc_price(usage, model_ref=model, provider_api_url=base_url)
    except LookupError:
        return None
    return float(price.total_price)

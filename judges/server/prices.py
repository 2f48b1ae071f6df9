"""What judging cost, from counted tokens and a table of prices.

The table is a JSON file: ``{"MODEL": {"prompt": 0.15, "completion": 0.6}, "currency": "USD"}``, amounts per million
tokens. ``currency`` is optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telbench.errors import InputError

from ..panel import Tally
from ..strict_json import read_strict_json

MILLION = 1_000_000
# What a token of a batch costs of the price.
BATCH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Price:
    """Currency units per million tokens of prompts and of completions."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model name; ``currency`` is the table's own word, or None."""

    prices: Mapping[str, Price]
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class JudgingCost:
    """What was paid, or None and the ``reason`` why that is not known."""

    amount: float | None
    currency: str | None = None
    reason: str | None = None


def read_prices(path: Path) -> PriceTable:
    """The table in a file. Raises `InputError` where it cannot be read or holds anything but prices."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the price table {path} cannot be read: {error}; give a JSON file in UTF-8") from None
    try:
        value = read_strict_json(text, unique_keys=True)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the price table {path} is not JSON: {error or type(error).__name__}") from None
    if not isinstance(value, dict):
        raise InputError(f"the price table {path} must be a JSON object, from model names to prices")
    currency = value.pop("currency", None)
    if currency is not None and (not isinstance(currency, str) or not currency):
        raise InputError(f"the price table {path}: 'currency' must be a text such as \"USD\"")
    return PriceTable({model: _price(path, model, entry) for model, entry in value.items()}, currency)


def cost(tallies: Mapping[str, Tally], table: PriceTable) -> JudgingCost:
    """What the replies that a run rests on cost, by the judges' tallies.

    One judge without a price, or one whose server counted no tokens, leaves the whole unknown: a part of it would look
    like the total. Tokens of batches count half.
    """
    amount = 0.0
    for judge, tally in sorted(tallies.items()):
        if not tally.prompts:
            continue
        price = table.prices.get(judge)
        if price is None:
            return JudgingCost(None, table.currency, f"no price for {judge}")
        if not tally.prompt_tokens:
            return JudgingCost(None, table.currency, f"the server of {judge} counts no tokens")
        prompt = tally.prompt_tokens - (1 - BATCH_SHARE) * tally.batch_prompt_tokens
        completion = tally.completion_tokens - (1 - BATCH_SHARE) * tally.batch_completion_tokens
        amount += (prompt * price.prompt + completion * price.completion) / MILLION
    return JudgingCost(amount, table.currency)


def _price(path: Path, model: str, entry: object) -> Price:
    if not isinstance(entry, dict) or set(entry) != {"prompt", "completion"}:
        raise InputError(f'the price table {path}: \'{model}\' must be {{"prompt": N, "completion": N}}, nothing else')
    amounts = []
    for name in ("prompt", "completion"):
        amount = entry[name]
        number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not number or not 0 <= amount <= 1e9:
            raise InputError(f"the price table {path}: '{model}', '{name}' must be a number from 0, per million tokens")
        amounts.append(float(amount))
    return Price(*amounts)

"""What came of asking judges: what it cost, and which of them gave no verdict at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from telbench.errors import EngineError

from ...judges.contract import JudgeIdentity
from ...judges.panel import JudgePanel, Tally
from ...judges.server.prices import PriceTable, cost
from ..cli.terminal import Reporter


def judge_cost(identity: JudgeIdentity, tally: Tally, prices: PriceTable | None) -> dict[str, Any] | None:
    """What one judge's replies cost, as a header holds it; None without a price table.

    A table calls a judge by its own name, or by that of its model at the server.
    """
    if prices is None:
        return None
    model = identity.facts.get("model")
    name = model if isinstance(model, str) and identity.name not in prices.prices else identity.name
    return asdict(cost({name: tally}, prices))


def tokens_of(tally: Tally) -> dict[str, int]:
    """The tokens of a judge's replies, as a header holds them; those of batches apart, where there are some."""
    found = {"prompt": tally.prompt_tokens, "completion": tally.completion_tokens}
    if tally.batch_prompt_tokens or tally.batch_completion_tokens:
        found |= {"batch_prompt": tally.batch_prompt_tokens, "batch_completion": tally.batch_completion_tokens}
    return found


def panel_costs(panels: Sequence[JudgePanel], prices: PriceTable | None) -> dict[str, list[dict[str, Any]]]:
    """``cost`` of a document: name, tokens and cost of each judge over panels of the same; empty without prices."""
    if prices is None:
        return {}
    found = []
    for place, identity in enumerate(panels[0].identities):
        tallies = [panel.tallies[panel.identities[place].name] for panel in panels]
        tally = Tally(
            prompts=sum(each.prompts for each in tallies),
            prompt_tokens=sum(each.prompt_tokens for each in tallies),
            completion_tokens=sum(each.completion_tokens for each in tallies),
            batch_prompt_tokens=sum(each.batch_prompt_tokens for each in tallies),
            batch_completion_tokens=sum(each.batch_completion_tokens for each in tallies),
        )
        found.append({"name": identity.name, "tokens": tokens_of(tally), "cost": judge_cost(identity, tally, prices)})
    return {"cost": found}


def cost_lines(judges: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each judge whose cost was asked for, and one for all where there are several and all are known."""
    priced = [judge for judge in judges if judge.get("cost")]
    lines = []
    for judge in priced:
        found, tokens = judge["cost"], judge["tokens"]
        told = f"{tokens['prompt']:,} prompt and {tokens['completion']:,} completion tokens"
        if "batch_prompt" in tokens:
            told += f", {tokens['batch_prompt']:,} and {tokens['batch_completion']:,} of them in batches"
        amount = f"unknown: {found['reason']}" if found["amount"] is None else _amount(found["amount"], found)
        lines.append(f"cost of the judge {judge['name']}: {amount} ({told})")
    amounts = [judge["cost"]["amount"] for judge in priced]
    if len(amounts) > 1 and None not in amounts:
        lines.append(f"cost of all judges: {_amount(sum(amounts), priced[0]['cost'])}")
    return lines


def tell_lost(judges: Sequence[tuple[str, int, int]], reporter: Reporter, means: str) -> int:
    """The exit code, which is not 0 where a judge gave no verdict on anything; names it, and what that ``means``.

    ``judges`` are (name, prompts, missing verdicts).
    """
    lost = [name for name, prompts, missing in judges if prompts and missing == prompts]
    for name in lost:
        reporter.note(f"the judge {name} gave no verdict at all: {means}")
    return EngineError.exit_code if lost else 0


def _amount(amount: float, found: Mapping[str, Any]) -> str:
    """An amount in two digits at least, with its currency."""
    digits = 2 if amount <= 0 or amount >= 1 else max(2, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f} {found['currency'] or '(no currency)'}"

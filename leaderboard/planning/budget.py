"""What the next unit of budget should buy: documents, items of the same documents, or training seeds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from telbench.config import setting

from .needs import ratio_of_spreads
from .pilot import Pilot

ARMS = 2
Buy = Literal["now", "documents", "items", "seeds"]


@dataclass(frozen=True)
class Costs:
    """What things cost, in any one unit."""

    cost_answer: float = setting(1.0, "cost of one answer: generating and scoring it", metavar="X", low=0)
    cost_item: float = setting(0.0, "cost of a new item beside its answers", metavar="X", low=0)
    cost_document: float = setting(0.0, "cost of a new source document beside its items", metavar="X", low=0)
    cost_seed: float = setting(0.0, "cost of one training with another seed", metavar="X", low=0)
    spend: float | None = setting(
        None, "budget to lay out (default: what the pilot cost, once more)", metavar="X", above=0
    )


@dataclass(frozen=True)
class Option:
    """What the budget can buy and what comes of it.

    ``error`` is the standard error of the mean difference of these checkpoints; ``low`` and ``high`` are those at the
    90 % bounds of the share of documents, where the error depends on it. ``recipe_error`` is that of the recipes'
    difference, to which training seeds add. ``reason``: why a number is absent.
    """

    buys: Buy
    items: int
    documents: int
    seeds: int
    cost: float
    error: float | None
    low: float | None
    high: float | None
    recipe_error: float | None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def budget_of(pilot: Pilot, costs: Costs) -> list[Option]:
    """What the pilot has, and what the same money makes of it in documents, items or seeds.

    With f times as much: new documents divide the whole variance of the mean by f, new items of the same documents only
    the items' part of it, and new seeds only the part that single answers add. Source: Searle, Casella and McCulloch
    1992; Cochran 1977, chapter 10.
    """
    count, groups, seeds = pilot.sample.n, pilot.sample.groups, pilot.seeds
    an_item = costs.cost_item + ARMS * seeds * costs.cost_answer
    a_document = costs.cost_document + count / groups * an_item
    a_seed = ARMS * (count * costs.cost_answer + costs.cost_seed)
    spent = groups * costs.cost_document + count * an_item + ARMS * seeds * costs.cost_seed
    spend = spent if costs.spend is None else costs.spend
    found = [_option(pilot, "now", 0.0, 1.0, 1.0, seeds)]
    prices: tuple[tuple[Buy, float, int], ...] = (
        ("documents", a_document, groups),
        ("items", an_item, count),
        ("seeds", a_seed, seeds),
    )
    for buys, price, have in prices:
        if price <= 0 or (buys == "seeds" and not _seeds_matter(pilot)):
            continue
        more = math.floor(spend / price + 1e-9)
        factor = 1 + more / have
        in_documents = factor if buys == "documents" else 1.0
        in_items = factor if buys == "items" else 1.0
        option = _option(pilot, buys, more * price, in_documents, in_items, seeds + more * (buys == "seeds"))
        found.append(option if more else _too_dear(option, price))
    return found


def best_size(pilot: Pilot, costs: Costs) -> float | None:
    """Items a document that make the most of a budget: sqrt(cost of a document / of an item * (1 - icc) / icc).

    None where documents cost nothing beside their items, or it is not known how alike their items are. Source: Cochran
    1977, section 10.6.
    """
    share = pilot.components.share.value
    an_item = costs.cost_item + ARMS * pilot.seeds * costs.cost_answer
    if not share or not costs.cost_document or not an_item:
        return None
    return max(1.0, math.sqrt(costs.cost_document / an_item * (1 - share) / share))


def _option(pilot: Pilot, buys: Buy, cost: float, in_documents: float, in_items: float, seeds: int) -> Option:
    count, groups = pilot.sample.n, pilot.sample.groups
    items = math.floor(count * in_documents * in_items + 1e-9)
    documents = math.floor(groups * in_documents + 1e-9)
    error, parts = pilot.standard_error, pilot.components
    if pilot.few is not None or error is None:
        return Option(buys, items, documents, seeds, cost, None, None, None, None, pilot.few)
    base = error**2 / in_documents
    if buys in ("now", "documents"):
        found, reason = base, None
        ends: tuple[float | None, float | None] = (None, None)
    else:
        factor = in_items if buys == "items" else _fewer_answers(pilot, seeds)
        found, ends, reason = _items_part(pilot, base, factor)
        if factor is None:
            reason = parts.rest.reason or parts.item.reason
    recipe = None
    if parts.replicate.value is not None:
        # What single answers add is not known from one seed: then the items' part is taken as it is.
        recipe = math.sqrt((base if found is None else found) + parts.replicate.value / seeds)
    low, high = (None if end is None else math.sqrt(end) for end in ends)
    return Option(
        buys, items, documents, seeds, cost, None if found is None else math.sqrt(found), low, high, recipe, reason
    )


def _items_part(
    pilot: Pilot, base: float, factor: float | None
) -> tuple[float | None, tuple[float | None, float | None], str | None]:
    """The variance of the mean where the items' part of it is divided by ``factor``; at the bounds of the share too."""
    share = pilot.components.share

    def at(value: float | None) -> float | None:
        if value is None or factor is None:
            return None
        # As many items in documents that are `factor` times as large, of which there are that much fewer.
        return base / factor * ratio_of_spreads(value, factor * pilot.typical, pilot.typical)

    # An item for each document leaves nothing to be told apart, but two of one document cannot be worse than the same.
    low = share.low if share.low is not None or share.high is None else 0.0
    return at(share.value), (at(low), at(share.high)), share.reason if share.value is None else None


def _fewer_answers(pilot: Pilot, seeds: int) -> float | None:
    """By how much the items' part of the variance is divided where answers are averaged over so many seeds."""
    item, rest = pilot.components.item.value, pilot.components.rest.value
    if item is None or rest is None:
        return None
    return (item + rest / pilot.seeds) / (item + rest / seeds)


def _seeds_matter(pilot: Pilot) -> bool:
    """Is anything known of what more seeds bring?"""
    return pilot.components.replicate.value is not None or pilot.components.rest.value is not None


def _too_dear(option: Option, price: float) -> Option:
    thing = {"documents": "document", "items": "item", "seeds": "seed"}[option.buys]
    reason = f"one {thing} more costs {price:g}"
    return Option(option.buys, option.items, option.documents, option.seeds, 0.0, None, None, None, None, reason)

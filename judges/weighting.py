"""The probability-weighted score: what the judge's own probabilities say at the token of its score."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from .schemas import SCORES

# Its exponential is 0; JSON also holds integers that no float can.
_LEAST = -1e4
# Inside a JSON string the quotes would be escaped, so that this finds the key alone.
_SCORE = re.compile(r'"score"[ \t\r\n]*:[ \t\r\n]*([1-5])')


def weighted_score(logprobs: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The probability-weighted score and the probability of any score, from a chat completion's ``logprobs``.

    Both None unless the score is a token of its own with alternatives that are numbers. Source of the weighting: Liu et
    al. 2023 (G-Eval), section 2.
    """
    chances = score_alternatives(logprobs)
    return (None, None) if chances is None else weighted_mean(chances)


def score_alternatives(logprobs: Mapping[str, Any]) -> dict[str, float] | None:
    """Natural log-probabilities of what could have stood at the score's token, by text; None where it is not told."""
    tokens = logprobs.get("content")
    if not isinstance(tokens, list) or not all(isinstance(t, dict) and isinstance(t.get("token"), str) for t in tokens):
        return None
    found = list(_SCORE.finditer("".join(token["token"] for token in tokens)))
    if len(found) != 1:
        return None
    position, token = found[0].start(1), None
    for token in tokens:
        if position < len(token["token"]):
            break
        position -= len(token["token"])
    alternatives = token.get("top_logprobs") if token and token["token"].strip() == found[0][1] else None
    if not token or not isinstance(alternatives, list):
        return None
    chances: dict[str, float] = {}
    for entry in (token, *alternatives):
        if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
            return None
        logprob = entry.get("logprob")
        # Above 0 only by rounding; NaN fails the comparison.
        if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= 1e-3:
            return None
        chances[entry["token"]] = float(min(0.0, max(logprob, _LEAST)))
    return chances


def weighted_mean(chances: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The mean score by the log-probabilities of texts, and the probability that any score has; None for no score.

    Texts that differ in white space only count together.
    """
    weights = [
        sum(math.exp(chance) for text, chance in chances.items() if text.strip() == str(score)) for score in SCORES
    ]
    mass = sum(weights)
    if not mass:
        return None, None
    return sum(score * weight for score, weight in zip(SCORES, weights, strict=True)) / mass, min(1.0, mass)

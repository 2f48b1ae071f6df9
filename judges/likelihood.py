"""How likely a judge finds a text: likelihoods are asked once a judge, kept, and looked up ever after."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .judge import JudgeIdentity, request_key
from .panel import JudgePanel


@dataclass(frozen=True, slots=True)
class LikelihoodRequest:
    """Text whose probability is wanted: the tokens of ``continuation`` as the reply to ``messages``.

    No end-of-sequence token is counted: an answer cut off at its longest has none. ``item_id`` is for the reader of the
    records.
    """

    key: str
    messages: tuple[Mapping[str, str], ...]
    continuation: str
    item_id: str = ""


@runtime_checkable
class LikelihoodJudge(Protocol):
    """A judge that gives probabilities of texts; those that only reply (servers) do not."""

    identity: JudgeIdentity

    def log_likelihoods(self, requests: Iterable[LikelihoodRequest]) -> Iterator[tuple[str, float, int]]:
        """Yield (key, summed natural log-probability, tokens) of each request that can be scored, in any order.

        A continuation that does not fit the judge's window, or has no token, is left out. Raises like `Judge.ask`.
        """
        ...


def likelihood_request(
    identity: JudgeIdentity, messages: Sequence[Mapping[str, str]], continuation: str, item_id: str = ""
) -> LikelihoodRequest:
    """The request under the key of all that its value depends on."""
    key = request_key(identity.fingerprint, messages, {"continuation": continuation})
    return LikelihoodRequest(f"likelihood:{key}", tuple(messages), continuation, item_id)


def likelihood_judges(panel: JudgePanel) -> tuple[LikelihoodJudge, ...]:
    """Those of the panel that give likelihoods."""
    return tuple(judge for judge in panel.judges if isinstance(judge, LikelihoodJudge))


def log_likelihoods(
    panel: JudgePanel, judge: LikelihoodJudge, requests: Sequence[LikelihoodRequest]
) -> dict[str, tuple[float, int] | None]:
    """(summed log-probability, tokens) by key: from the ledger where it knows them, else asked now and kept.

    None where the judge could not score the text; that is kept too, as it would be the same again.
    """
    unknown = {each.key: each for each in requests if not _known(panel.ledger.get(each.key))}
    if unknown:
        for key, value, tokens in judge.log_likelihoods(list(unknown.values())):
            panel.ledger.put(key, _record(judge, unknown[key], value, tokens))
        for key, request in unknown.items():
            if not _known(panel.ledger.get(key)):
                panel.ledger.put(key, _record(judge, request, None, 0))
    return {each.key: _read(panel.ledger.get(each.key)) for each in requests}


def _record(judge: LikelihoodJudge, request: LikelihoodRequest, value: float | None, tokens: int) -> dict[str, Any]:
    return {
        "item_id": request.item_id,
        "judge": judge.identity.name,
        "log_likelihood": value if value is not None and math.isfinite(value) else None,
        "tokens": tokens,
    }


def _known(record: Mapping[str, Any] | None) -> bool:
    return record is not None and "log_likelihood" in record and isinstance(record.get("tokens"), int)


def _read(record: Mapping[str, Any] | None) -> tuple[float, int] | None:
    if record is None or record["log_likelihood"] is None or record["tokens"] < 1:
        return None
    return float(record["log_likelihood"]), int(record["tokens"])

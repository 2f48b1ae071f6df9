"""Which judges, and how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import Bounded, setting


@dataclass(frozen=True)
class JudgeSettings(Bounded):
    """Judges and what is said to them. No ``specs``, no judge. The key of a server: OPENAI_API_KEY.

    ``anew`` is set by a run that starts over: what was found out about a judge is found out again.
    """

    specs: tuple[str, ...] = setting(
        (),
        "local:CHECKPOINT, openai:MODEL@URL or a file judge.yaml; several times for a panel",
        key="judge",
        many="repeat",
        metavar="SPEC",
    )
    options: tuple[str, ...] = setting(
        (),
        "of judges behind a server: key_variable, key_header, headers.NAME, query.NAME, body.NAME, reply_tokens, "
        "attempt_seconds; values are JSON or text, several times",
        key="judge_option",
        many="repeat",
        metavar="KEY=VALUE",
    )
    rubrics: Mapping[str, Path] = setting(
        {},
        "a rubric file of your own (NAME-VERSION.txt) in place of the one called NAME",
        key="rubric",
        metavar="NAME=FILE",
    )
    prices: Path | None = setting(
        None,
        "JSON with prices for a million tokens by model, so that the run tells what its judges cost",
        key="judge_prices",
        metavar="FILE",
    )
    max_in_flight: int = setting(
        32,
        "most requests at once to a judge's server; fewer while it is overloaded",
        key="judge_in_flight",
        metavar="N",
        low=1,
        high=1000,
    )
    deadline: float = setting(
        180.0,
        "seconds for one verdict of a server, repetitions included",
        key="judge_deadline",
        metavar="S",
        low=0.1,
        high=86400,
    )
    repeats: int = setting(
        1,
        "ask for each verdict N times; an item's score is their mean, and what the judge varies by is in the interval",
        key="judge_repeats",
        metavar="N",
        low=1,
        high=100,
    )
    joint: bool = setting(
        False,
        "one reply with the verdicts of factual correctness, faithfulness and rubric score; other metrics by signature",
        key="judge_joint",
    )
    batch: bool = setting(
        False,
        "ask judges behind a server through its Batch API: half the price, an answer within 24 hours",
        key="judge_batch",
    )
    retry: bool = setting(
        False, "ask judges anew for every verdict that is missing (telbench judge retry RUN)", key="judge_retry"
    )
    engine: Literal["auto", "vllm", "transformers"] = setting("auto", "what runs local judges", key="judge_engine")
    anew: bool = setting(False, "find out anew what judges can do", key="judge_anew", flag=False)

"""ragas and deepeval asked for telbench's three verdicts: run by `judge_calls.py` with an interpreter that has them.

- ragas: FactualCorrectness (F1), Faithfulness, and DomainSpecificRubrics with the reference, all as they come.
- deepeval: GEval for correctness, FaithfulnessMetric as it comes, and GEval with a rubric of five levels. GEval's steps
  are given, which saves the call that would write them.

Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0", "RAGAS_DO_NOT_TRACK": "true"}
LEVELS = (
    "wrong, off the question, empty, or a refusal",
    "the main point is wrong or missing, though something in it is right and to the question",
    "partly right: an important part is missing, or one fact besides the main one is wrong",
    "right in all that matters; a minor detail is missing or loosely put",
    "says all that the reference says, and nothing wrong",
)
Asked = Sequence[Callable[[dict[str, str]], Awaitable[Any]]]


def ragas_metrics(port: int) -> tuple[str, Asked]:
    """The version of ragas, and what scores an item."""
    import ragas  # pyright: ignore[reportMissingImports]
    from openai import AsyncOpenAI
    from ragas.llms import llm_factory  # pyright: ignore[reportMissingImports]
    from ragas.metrics.collections import (  # pyright: ignore[reportMissingImports]
        DomainSpecificRubrics,
        FactualCorrectness,
        Faithfulness,
    )

    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    llm = llm_factory("scripted", client=client)
    factual, faithful = FactualCorrectness(llm=llm), Faithfulness(llm=llm)
    rubrics = {f"score{level}_description": text for level, text in enumerate(LEVELS, 1)}
    rubric = DomainSpecificRubrics(llm=llm, rubrics=rubrics, with_reference=True)
    return ragas.__version__, (
        lambda row: factual.ascore(response=row["answer"], reference=row["reference"]),
        lambda row: faithful.ascore(
            user_input=row["question"], response=row["answer"], retrieved_contexts=[row["context"]]
        ),
        lambda row: rubric.ascore(user_input=row["question"], response=row["answer"], reference=row["reference"]),
    )


def deepeval_metrics(port: int) -> tuple[str, Asked]:
    """The version of deepeval, and what scores an item."""
    import deepeval  # pyright: ignore[reportMissingImports]
    from deepeval.metrics import FaithfulnessMetric, GEval  # pyright: ignore[reportMissingImports]
    from deepeval.metrics.g_eval import Rubric  # pyright: ignore[reportMissingImports]
    from deepeval.models import LocalModel  # pyright: ignore[reportMissingImports]
    from deepeval.test_case import LLMTestCase, SingleTurnParams  # pyright: ignore[reportMissingImports]

    model = LocalModel("scripted", api_key="none", base_url=f"http://127.0.0.1:{port}/v1", temperature=0.0)
    shown = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT, SingleTurnParams.EXPECTED_OUTPUT]
    steps = [
        "Check whether the facts in the actual output contradict facts in the expected output.",
        "Penalize the omission of facts that the expected output has.",
    ]
    levels = [
        Rubric(score_range=(2 * level, 2 * level + 1 + (level == 4)), expected_outcome=text)
        for level, text in enumerate(LEVELS)
    ]

    def measured(metric: Any, row: dict[str, str]) -> Awaitable[Any]:
        case = LLMTestCase(
            input=row["question"],
            actual_output=row["answer"],
            expected_output=row["reference"],
            retrieval_context=[row["context"]],
        )
        return metric.a_measure(case, _show_indicator=False)

    def graded(name: str, rubric: Any) -> Any:
        return GEval(name=name, evaluation_params=shown, evaluation_steps=steps, rubric=rubric, model=model)

    return deepeval.__version__, (
        lambda row: measured(graded("correctness", None), row),
        lambda row: measured(FaithfulnessMetric(model=model), row),
        lambda row: measured(graded("rubric", levels), row),
    )


async def main(peer: str, port: int, rows: list[dict[str, str]]) -> None:
    """Score every row by every metric, one after the other."""
    version, asked = {"ragas": ragas_metrics, "deepeval": deepeval_metrics}[peer](port)
    scored, errors = 0, []
    for row in rows:
        for score in asked:
            try:
                await score(row)
                scored += 1
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
    print(json.dumps({"version": version, "scored": scored, "errors": errors}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))))

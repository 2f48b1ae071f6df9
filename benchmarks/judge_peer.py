"""deepeval's G-Eval against the scripted judge: run by `judge_throughput.py` with the interpreter that has deepeval.

The steps are given, so that one score is one call; as many metrics are awaited at once as slots are allowed, without
deepeval's own runner, which would cost more. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

os.environ |= {"DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0"}


async def main(port: int, in_flight: int, prompts: int) -> None:
    """Score ``prompts`` answers with ``in_flight`` at once."""
    import deepeval  # pyright: ignore[reportMissingImports]
    from deepeval.metrics import GEval  # pyright: ignore[reportMissingImports]
    from deepeval.models import LocalModel  # pyright: ignore[reportMissingImports]
    from deepeval.test_case import LLMTestCase, SingleTurnParams  # pyright: ignore[reportMissingImports]

    model = LocalModel("scripted", api_key="none", base_url=f"http://127.0.0.1:{port}/v1", temperature=0.0)
    numbers, scores = iter(range(prompts)), []

    async def work() -> None:
        for number in numbers:
            metric = GEval(
                name="correctness",
                evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT, SingleTurnParams.EXPECTED_OUTPUT],
                evaluation_steps=["Compare the actual output with the expected output."],
                model=model,
            )
            case = LLMTestCase(
                input="Which protocol carries the control plane of F1?",
                actual_output=f"In deployment {number} it is F1AP, which runs over SCTP.",
                expected_output="F1AP over SCTP.",
            )
            try:
                scores.append(await metric.a_measure(case, _show_indicator=False))
            except Exception as error:
                print(type(error).__name__, error, file=sys.stderr)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = {"version": deepeval.__version__, "prompts": prompts, "scored": len(scores), "wall": wall, "cpu": cpu}
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:4])))

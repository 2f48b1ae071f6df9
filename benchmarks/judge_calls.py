"""Claim: telbench asks a judge for fewer calls and prompt tokens an item than ragas and deepeval for the same verdicts.

The verdicts are factual correctness by the reference, faithfulness to the context, and a score by a rubric with the
reference. One scripted server (in this process) answers all three packages: the claims of a text are its sentences, all
of them hold, and every other reply is short, so that no package is asked for more than another. It counts the calls
and the tokens of all messages, by one tokenizer. Items and contexts are TeleQuAD's; an answer is the sentence of the
context that holds the reference. Exits with 1 unless every package gave all verdicts and telbench took the fewest calls
and tokens.

    python benchmarks/judge_calls.py --tokenizer FOLDER --peer-python PATH [--items 20] [--data telequad]

``--tokenizer`` is a checkpoint's folder. ``--peer-python`` is an interpreter that has ragas and deepeval; without it
there is the row of telbench alone. What each package is asked for stands in `judge_calls_peer.py`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import limited, load_dataset
from telbench.judges.panel import JudgePanel
from telbench.judges.server.served import served_judge
from telbench.metrics.contract import Resources, Sample, metrics_named

METRICS = ("factual_correctness", "faithfulness", "rubric_score")
PEERS = ("ragas", "deepeval")
PEER = Path(__file__).with_name("judge_calls_peer.py")
REASON = "The text says so."


def sentences(text: str) -> list[str]:
    """The claims of a text: its sentences."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]


def verdict(messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the judge says: to telbench, ragas or deepeval, by the form that the prompt asks for."""
    text = "\n".join(message["content"] for message in messages)
    if "<<<BEGIN answer" in text:
        return _to_telbench(text)
    if "Now perform the same with the following input" in text:
        return _to_ragas(json.loads(text.rpartition("\ninput: ")[2].rpartition("\nOutput:")[0]))
    return _to_deepeval(text)


def _to_telbench(text: str) -> dict[str, Any]:
    answer = text.rpartition("<<<BEGIN answer")[2].partition("\n")[2].partition("\n<<<END")[0]
    form = text.partition("Reply with one JSON object of this form")[2].partition("\n")[2].partition("\n")[0]
    if '"score"' in form:
        return {"reasons": [REASON], "score": 4}
    said = {"verdict": "TP"} if '"verdict"' in form else {"supported": True}
    return {"claims": [{"claim": claim, "reason": REASON, **said} for claim in sentences(answer)]}


def _to_ragas(given: dict[str, Any]) -> dict[str, Any]:
    if "statements" in given:
        return {"statements": [{"statement": each, "reason": REASON, "verdict": 1} for each in given["statements"]]}
    if "atomicity" in given:
        return {"claims": sentences(given["response"])}
    if "answer" in given:
        return {"statements": sentences(given["answer"])}
    return {"feedback": REASON, "score": 4}


def _to_deepeval(text: str) -> dict[str, Any]:
    for key, before in (("truths", "\nText:\n"), ("claims", "\nAI Output:\n")):
        if f'with the "{key}" key' in text:
            return {key: sentences(text.rpartition(before)[2].rpartition("\nJSON:")[0])}
    if "'verdicts' key" in text:
        claims = ast.literal_eval(text.rpartition("\nClaims:\n")[2].rpartition("\nJSON:")[0].strip())
        return {"verdicts": [{"verdict": "yes"} for _ in claims]}
    return {"reason": REASON, "score": 8} if '"score"' in text else {"reason": REASON}


@dataclass
class Count:
    """Calls so far and the text of their messages."""

    calls: int = 0
    texts: list[str] = field(default_factory=list)


@contextmanager
def scripted_server(count: Count) -> Iterator[int]:
    """The port of a server on the loopback that answers by `verdict`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "test"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            count.calls += 1
            count.texts += [message["content"] for message in request["messages"]]
            message = {"role": "assistant", "content": json.dumps(verdict(request["messages"]))}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "scripted"}
            self._answer({**head, "choices": [choice], "usage": usage})

        def _answer(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: the table is what is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def sample_of(item: Item) -> Sample:
    """The item with the sentence of its context that holds the reference for an answer, or the reference itself."""
    holding = [each for each in sentences(item.context or "") if item.references[0].lower() in each.lower()]
    answer = min(holding, key=len) if holding else item.references[0]
    return Sample(item.id, answer, tuple(item.references), item.question, item.context)


def by_telbench(port: int, samples: Sequence[Sample], count: Count) -> int:
    """Score the samples by the three metrics; how many verdicts there are. The tiny first question is not counted."""
    judge = served_judge("scripted", f"http://127.0.0.1:{port}/v1")
    count.calls, count.texts = 0, []
    with closing(JudgePanel([judge])) as panel:
        metrics = metrics_named(list(METRICS), Resources(judge=panel))
        return sum(score.value is not None for metric in metrics for score in metric.score(samples))


def by_peer(python: str, peer: str, port: int, samples: Sequence[Sample]) -> tuple[str, int]:
    """The package's version, and how many verdicts it gave."""
    rows = [
        {"question": each.question, "answer": each.prediction, "reference": each.references[0], "context": each.context}
        for each in samples
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "items.json"
        file.write_text(json.dumps(rows), encoding="utf-8")
        # deepeval writes into the folder that it is called in.
        command = [python, str(PEER), peer, str(port), str(file)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        sys.exit(f"{peer}: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    sys.stderr.writelines(f"{peer}: {line}\n" for line in found["errors"][:3])
    return found["version"], found["scored"]


def main() -> int:
    """Print the table; exit 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder of a checkpoint, whose tokens are counted")
    parser.add_argument("--peer-python", help="an interpreter that has ragas and deepeval")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--data", default="telequad")
    args = parser.parse_args()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    dataset = load_dataset(args.data)
    with_context = tuple(item for item in dataset.items if item.context and item.references)
    drawn = limited(type(dataset)(**{**vars(dataset), "items": with_context}), args.items, seed=0)
    samples = [sample_of(item) for item in drawn.items]
    texts = [text for each in samples for text in (each.question, each.prediction, each.references[0], each.context)]
    words = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts if text)
    print(f"{len(samples)} items of {dataset.name}; question, context, reference, answer: {words / len(samples):.0f}")
    print("| package | verdicts | calls an item | prompt tokens an item |\n|---|---|---|---|")
    rows: list[tuple[int, int]] = []
    whole = True
    for package in ("telbench", *(PEERS if args.peer_python else ())):
        count = Count()
        with scripted_server(count) as port:
            if package == "telbench":
                name, given = package, by_telbench(port, samples, count)
            else:
                version, given = by_peer(args.peer_python, package, port, samples)
                name = f"{package} {version}"
        tokens = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in count.texts)
        n = len(samples)
        print(f"| {name} | {given} of {len(METRICS) * n} | {count.calls / n:.1f} | {tokens / n:,.0f} |", flush=True)
        rows.append((count.calls, tokens))
        whole = whole and given == len(METRICS) * n
    own, *others = rows
    return int(not (whole and all(own[0] < calls and own[1] < tokens for calls, tokens in others)))


if __name__ == "__main__":
    sys.exit(main())

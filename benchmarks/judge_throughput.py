"""Claim: a judge panel asks at 90 % or more of the rate of a bare client loop, with 64 and with 256 in flight, and a
call costs 0.6 ms of CPU or less.

A scripted judge (`judge_server.py`, a process of its own) answers every request after 200 ms, and 5 % at random, drawn
with a seed, with status 429, at once as rate limiters do (with ``--late-refusals`` after 200 ms too: the slots that
this holds leave 95 % of the ideal at most). Different prompts go through the whole path of a judged run: rubric and
delimiters, `ServedJudge`, adaptive limit and retries, verdicts, and a ledger on disk. The ideal is the number in flight
over the latency, as if no request were ever refused. Every verdict is checked, and that each prompt was answered once.
Exits with 1 where an answer is missing or wrong, or where no round holds the claim.

    python benchmarks/judge_throughput.py [--seconds 30] [--rounds 3] [--busy 0.05] [--latency 0.2] [--peer-python PATH]

Where aiohttp is installed, a bare loop of it then sends as many of the same requests with as many in flight, and does
nothing else: no rubric, no limit that is learnt, no verdict, no ledger. It shows what the machine allows just then.
Without aiohttp the ideal takes its place.
``--seconds`` of the ideal give the number of prompts: more than enough that start and end, where not all slots are in
use, weigh little. ``--peer-python`` is an interpreter with deepeval: its G-Eval metric, with fixed steps and as much
concurrency as it is given, then judges against the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from telbench.harness.storage import RecordStore
from telbench.judges.contract import JudgeIdentity, JudgeTask, judge_request
from telbench.judges.panel import JudgePanel
from telbench.judges.rubric import load_rubric
from telbench.judges.server.served import served_judge
from telbench.judges.verdicts import RubricScore

NEEDED = 0.90
MOST_CPU = 0.6  # milliseconds a call
IN_FLIGHT = (64, 256)
PEER_VERDICT = json.dumps({"score": 8, "reason": "The answer names the protocol that the reference names."})
HERE = Path(__file__).parent
CONTEXT = (
    "The F1 interface connects the gNB-DU and the gNB-CU. Its control plane runs F1AP over SCTP, its user plane "
    "GTP-U over UDP. One gNB-DU is connected to one gNB-CU only; for resilience it may be connected to several."
)


@contextmanager
def judge_server(args: argparse.Namespace, *further: str) -> Iterator[int]:
    """The port of a scripted judge in its own process."""
    late = args.latency if args.late_refusals else 0.0
    numbers = {"--latency": args.latency, "--busy": args.busy, "--busy-latency": late, "--seed": args.seed}
    options = [str(part) for option in numbers.items() for part in option]
    command = [sys.executable, str(HERE / "judge_server.py"), *options, *further]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


def tasks(count: int) -> Iterator[JudgeTask]:
    """Different answers to telecom questions, as long as real ones."""
    rubric = load_rubric("rubric_score")
    for number in range(count):
        material = {
            "question": f"Which protocol carries the control plane of F1 in deployment {number}?",
            "context": CONTEXT,
            "reference": "F1AP over SCTP.",
            "answer": f"In deployment {number} it is F1AP, which runs over SCTP.",
        }
        yield JudgeTask(rubric, {field: material[field] for field in rubric.fields}, str(number))


def counted(port: int) -> dict[str, int]:
    """How many requests the server has answered and refused."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/counts", timeout=10) as page:
        return json.load(page)["counts"]


def measure(in_flight: int, args: argparse.Namespace) -> bool:
    """Judge a few times and print a line each; whether the claim holds. Neighbours on the machine only ever slow a
    round down, so that the best one counts.
    """
    shares, cpu, right = list[float](), list[float](), list[bool]()
    for _ in range(args.rounds):
        reached, used, whole = measure_once(in_flight, args)
        shares.append(reached / (measure_bare(in_flight, reached, args) or 1.0))
        cpu.append(used)
        right.append(whole)
    return max(shares) >= NEEDED and min(cpu) <= MOST_CPU and all(right)


def measure_once(in_flight: int, args: argparse.Namespace) -> tuple[float, float, bool]:
    """The share of the ideal, milliseconds of CPU a call, and whether every answer was right and given once."""
    ideal = in_flight / args.latency
    count = max(2000, int(ideal * args.seconds))
    with judge_server(args) as port, tempfile.TemporaryDirectory() as folder:
        ledger = RecordStore(Path(folder) / "judgements.jsonl")
        judge = served_judge("scripted", f"http://127.0.0.1:{port}/v1", max_in_flight=in_flight, jitter_seed=1)
        with ledger, closing(JudgePanel([judge], ledger)) as panel:
            before = counted(port)
            wall, cpu = time.perf_counter(), time.process_time()
            panel.ask(lambda: tasks(count))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            after = counted(port)
            wrong = sum(
                not isinstance(judgement.verdict, RubricScore) or judgement.verdict.score != 4
                for task in tasks(count)
                for judgement in panel.known(task)
            )
    answered, refused = (after[name] - before[name] for name in ("answered", "refused"))
    reached = count / wall / ideal
    print(
        f"{in_flight:4} in flight: {count} prompts in {wall:.1f} s = {count / wall:.0f} calls/s, {reached:.1%} of the "
        f"ideal {ideal:.0f}; {cpu / count * 1000:.3f} ms CPU a call; {refused} refused with 429; load average "
        f"{os.getloadavg()[0]:.1f}; {wrong} wrong or missing"
    )
    return reached, cpu / count * 1000, not wrong and answered == count


def measure_bare(in_flight: int, reached: float, args: argparse.Namespace) -> float | None:
    """A bare loop's share of the ideal, None without aiohttp; prints how the panel, which ``reached`` its, compares."""
    if find_spec("aiohttp") is None:
        return None
    ideal = in_flight / args.latency
    count = max(2000, int(ideal * args.seconds))
    identity = JudgeIdentity("scripted", "scripted", enforced=False, log_probabilities=False)
    bodies = [
        json.dumps({"model": "scripted", **request.asked, **request.body}).encode()
        for request in (judge_request(task, identity) for task in tasks(count))
    ]
    with judge_server(args) as port:
        wall, cpu = time.perf_counter(), time.process_time()
        asyncio.run(post_all(f"http://127.0.0.1:{port}/v1/chat/completions", bodies, in_flight))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{in_flight:4} in flight: a bare aiohttp loop {count / wall:.0f} calls/s, {count / wall / ideal:.1%} of the "
        f"ideal; {cpu / count * 1000:.3f} ms CPU a call; telbench reached {reached * ideal / (count / wall):.1%} of it"
    )
    return count / wall / ideal


async def post_all(url: str, bodies: list[bytes], in_flight: int) -> None:
    """Post every body until it is answered with 200."""
    import aiohttp

    waiting = iter(bodies)

    async def work(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            while True:
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                    json.loads(await answer.read())
                    if answer.status == 200:
                        break

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work(session))


def measure_peer(python: str, in_flight: int, args: argparse.Namespace) -> None:
    """Print a line for deepeval, or why there is none."""
    with judge_server(args, "--text", PEER_VERDICT) as port:
        command = [python, str(HERE / "judge_peer.py"), str(port), str(in_flight), str(args.peer_prompts)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        print(f"{in_flight:4} in flight: deepeval skipped: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
        return
    found = json.loads(done.stdout.strip().splitlines()[-1])
    ideal = in_flight / args.latency
    print(
        f"{in_flight:4} in flight: deepeval {found['version']}: {found['scored']} of {found['prompts']} scored in "
        f"{found['wall']:.1f} s = {found['scored'] / found['wall']:.0f} calls/s, "
        f"{found['scored'] / found['wall'] / ideal:.1%} of the ideal; "
        f"{found['cpu'] / found['prompts'] * 1000:.1f} ms CPU a call"
    )


def main() -> int:
    """Print a line each; exit 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a round, if it were ideal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--busy", type=float, default=0.05, help="share of answers with status 429")
    parser.add_argument("--late-refusals", action="store_true", help="a 429 takes as long as an answer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT)
    parser.add_argument("--peer-python", help="an interpreter that has deepeval")
    parser.add_argument("--peer-prompts", type=int, default=2000)
    args = parser.parse_args()
    holds = [measure(in_flight, args) for in_flight in args.in_flight]
    for in_flight in args.in_flight if args.peer_python else ():
        measure_peer(args.peer_python, in_flight, args)
    return int(not all(holds))


if __name__ == "__main__":
    sys.exit(main())

"""Claim: two replicas on two nodes of a Ray cluster lose less than a tenth to the sharing of 20,000 prompts.

Starts a head and nodes that are all 127.0.0.1, opens ``--engine ray`` with a replica on each of them, and has it answer
``--items`` prompts, each journalled as ``telbench eval`` does. The engine behind is a stand-in that answers one prompt
in ``--seconds``, whatever else the machine does. Efficiency is what the replicas' work takes at least, items x seconds
/ replicas, over the time by the clock, counted from when all replicas are open and have answered once.

Prints start-up, efficiency, CPU microseconds of the driver for each answer (journal included), and what that makes as
answers a second that one driver can take; exits with 1 where the efficiency is below .9.

    python benchmarks/ray_replicas.py --items 20000 --seconds 0.005 --replicas 2
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from telbench.harness.engines.contract import (
    Completion,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
    engine_named,
)
from telbench.harness.storage import RecordStore

LEAST = 0.9
ANSWER = "The O-DU terminates the F1 interface towards the O-CU and the open fronthaul towards the O-RU. " * 3


class StandIn:
    """A device that answers a prompt in so many seconds, while its process waits."""

    def __init__(self, settings: EngineSettings) -> None:
        self._seconds = float(settings.options["seconds"])
        self.info = describe(settings)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Answer each when its time has come."""
        began = time.monotonic()
        for number, request in enumerate(requests, 1):
            time.sleep(max(0.0, began + number * self._seconds - time.monotonic()))
            yield Completion(request.key, ANSWER, "stop", tuple(range(64)), len(request.token_ids), 64)

    def log_likelihoods(self, continuations: Sequence[Any]) -> Iterator[tuple[str, float]]:
        """None."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


def describe(settings: EngineSettings) -> EngineInfo:
    """What the stand-in is."""
    return EngineInfo("stand_in", "1", "float32", {"device": "cpu"})


ENGINE = EngineSpec("stand_in", local=True, cacheable=False, describe=describe, open=StandIn, options=True)


def install(site: Path) -> None:
    """This file as a package with the engine as its plugin, here and in processes that start from now on."""
    info = site / "stand_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[telbench.engines]\nstand_in = stand_in:ENGINE\n")
    (site / "stand_in.py").symlink_to(Path(__file__).resolve())
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


def cluster(nodes: int, tries: int = 5) -> Any:
    """A head without work and nodes with a processor each, all on 127.0.0.1."""
    # Workers stand back for all else on the machine otherwise, and the driver is not to talk to anybody outside.
    for name, value in (
        ("worker_niceness", "0"),
        ("USAGE_STATS_ENABLED", "0"),
        ("ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),
    ):
        os.environ[f"RAY_{name}"] = value
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {
        "object_store_memory": 80 * 2**20,
        "node_ip_address": "127.0.0.1",
        "include_dashboard": False,
    }
    found = Cluster()
    try:
        for cpus in (0, *[1] * nodes):
            found.add_node(num_cpus=cpus, **node)
    except Exception:
        # Ray gives a node half a minute, which on a busy machine may be too little.
        found.shutdown()
        if tries == 1:
            raise
        return cluster(nodes, tries - 1)
    return found


def main() -> int:
    """Measure and print; 0 when the efficiency is as claimed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=0.005)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=300, help="tokens of a prompt")
    args = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "site").mkdir()
        install(scratch / "site")
        nodes = cluster(args.replicas)
        stack.callback(nodes.shutdown)
        around = engine_named("ray")[0].around
        assert around is not None
        settings = EngineSettings(
            options={"seconds": args.seconds},
            replicas=args.replicas,
            replica_options={"address": nodes.address},
        )
        started = time.perf_counter()
        engine = stack.enter_context(closing(around(engine_named("stand_in")[0]).open(settings)))
        # Small chunks go to whoever is open: when each has had some, all are.
        warm = [Request(f"w{index}", "", (), (1,)) for index in range(max(64, int(20 / args.seconds)))]
        list(engine.generate(warm, Sampling()))
        print(f"start-up: {time.perf_counter() - started:.1f} s; load of the machine: {os.getloadavg()[0]:.1f}")
        ids = tuple(range(args.tokens))
        requests = [Request(f"{index:064x}", f"q{index}", (), ids) for index in range(args.items)]
        store = stack.enter_context(RecordStore(scratch / "completions.jsonl"))
        cpu, began = time.process_time(), time.perf_counter()
        for each in engine.generate(requests, Sampling()):
            record = {"text": each.text, "finish_reason": each.finish_reason}
            counts = {"prompt_tokens": each.prompt_tokens, "completion_tokens": each.completion_tokens}
            store.put(each.key, {**record, **counts})
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert len(store) == args.items
        ideal = args.items * args.seconds / args.replicas
        each_us = 1e6 * cpu / args.items
        print(f"{args.items} items on {args.replicas} replicas: {took:.2f} s, at least {ideal:.2f} s")
        print(f"efficiency: {ideal / took:.3f}")
        print(f"driver: {each_us:.0f} CPU microseconds an answer, so at most {1e6 / each_us:,.0f} answers a second")
    return 0 if ideal / took >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a step on the student's own answers costs by ``generate`` and by vLLM, for a real student and real questions.

Run: ``python benchmarks/kd_rollouts.py --student CKPT --data NAME --data-dir DIR [--items N] [--tokens T]
[--threads K]``. Prints a JSON line for each: seconds and CPU seconds of the last of three rounds (weights go over
before each), those of the first (with the start of the engine), and how many greedy tokens are those of ``generate``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from gpu_findings import DEVICE, Teller
from kd_gpu_peers import voices


def main() -> None:
    """Ask a student the same questions in three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="longest answer")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    from telbench.harness.engines.contract import Request
    from telbench.harness.engines.loading import load_model
    from telbench.harness.prompts.build import PromptSettings
    from telbench.kd.batches import reader
    from telbench.kd.models import load_split, open_model
    from telbench.kd.settings import DataSettings
    from telbench.kd.train.examples import pair_examples

    torch.set_num_threads(options.threads)
    prompts, data = PromptSettings("closed"), DataSettings(options.data, limit=options.items, data_dir=options.data_dir)
    student = open_model(options.student, prompts)
    examples, _ = pair_examples(load_split(data, data.split).items, prompts, reader(student.encoder, 1024, "student"))
    asked = [Request(each.item_id, each.item_id, (), each.student.ids[: each.student.start]) for each in examples]
    teller = Teller(None, 3600)
    teller.say("machine", threads=options.threads, load=os.getloadavg()[0], tokens=options.tokens)
    model = load_model(student.checkpoint, "float32").to(DEVICE)
    voices(teller, model, student.tokenizer, student.checkpoint, asked, options.tokens)
    teller.say("end", load=os.getloadavg()[0])


if __name__ == "__main__":
    main()

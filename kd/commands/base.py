"""``telbench kd base``: a tiny base model from nothing, which a study starts from."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from telbench.config import read_settings, read_yaml

from ...harness.cli.terminal import Reporter
from ..settings import DataSettings
from ..tiny.settings import ScratchSettings


@dataclass(frozen=True)
class BaseRequest:
    """What the command reads: the model's name and sizes, and the data whose words its tokenizer knows."""

    name: str
    scratch: ScratchSettings = field(default_factory=ScratchSettings)
    data: DataSettings = field(default_factory=DataSettings)


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML with name, scratch and data")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the finished checkpoint")


def run(args: argparse.Namespace) -> int:
    """Train; exit code 0."""
    from ...harness.datasets.loading import load_asked
    from ..tiny.base_model import make_base

    asked = read_settings(BaseRequest, read_yaml(args.config), str(args.config))
    facts = make_base(args.out, asked.name, asked.scratch, load_asked(asked.data)).training
    Reporter().note(f"{args.out}: {facts['parameters']:,} weights, loss {facts['loss']:.3f} nats a token of prose")
    return 0

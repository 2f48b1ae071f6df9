"""``telbench kd``: making candidates. Names its sub-commands as strings and imports the one that is called."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from telbench.errors import InputError

from ...harness.cli.main import Options
from ...harness.cli.terminal import visible
from ...harness.commands.network import stay_offline

# name -> (module, what it does). A module has configure(parser) and run(args).
ACTIONS: dict[str, tuple[str, str]] = {
    "algorithms": (".algorithms", "list the algorithms: what each needs, permits and reads"),
    "vocab": (".vocab", "compare two vocabularies: what may be distilled, and how"),
    "cache": (".cache", "store what a teacher says, so that trainings need not load it"),
    "sft": (".train", "fine-tune a model on answers"),
    "distill": (".train", "train a student from a teacher"),
    "study": (".study", "make a whole factor grid of students, and evaluate them"),
    "base": (".base", "train a tiny base model on general networking prose"),
}


class SubCommand(Options):
    """A parser whose options are added when its sub-command is called, so that no other one's module is imported."""

    module: Any = None

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - one for all overloads of argparse
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse by the options of the sub-command."""
        self._complete()
        return super().parse_known_args(args, namespace)

    def _flags(self) -> list[str]:
        self._complete()
        return super()._flags()

    def _complete(self) -> None:
        if self.module is None:
            self.module = importlib.import_module(ACTIONS[self.prog.rpartition(" ")[2]][0], __package__)
            self.module.configure(self)


def configure(parser: argparse.ArgumentParser) -> None:
    """A parser for each sub-command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS), parser_class=SubCommand)
    for name, (_, told) in ACTIONS.items():
        actions.add_parser(name, help=told, description=told, allow_abbrev=False)


def run(args: argparse.Namespace) -> int:
    """Run the sub-command and return its exit code."""
    stay_offline()
    try:
        return importlib.import_module(ACTIONS[args.action][0], __package__).run(args)
    except InputError as error:
        # The line may quote a folder or a data set.
        raise InputError(visible(str(error))) from error

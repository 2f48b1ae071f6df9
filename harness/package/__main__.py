"""``python -m telbench``: the same as the command ``telbench``."""

from telbench.harness.cli.main import entry

entry()

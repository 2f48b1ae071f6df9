"""telbench: which distilled telecom checkpoint is really better.

    import telbench
    run = telbench.evaluate("path/to/checkpoint", data="telecom-nano", metrics=["token_f1"])
    run.value("token_f1")

Names are loaded when they are used: ``import telbench`` is as light as ``telbench --help``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# name -> the module that has it
_NAMES = {
    "evaluate": "telbench.calls",
    "score": "telbench.calls",
    "compare": "telbench.calls",
    "check": "telbench.calls",
    "sft": "telbench.calls",
    "distill": "telbench.calls",
    "board": "telbench.calls",
    "Run": "telbench.harness.runs.folder",
    "Metric": "telbench.metrics.contract",
    "metric": "telbench.metrics.contract",
    "Sample": "telbench.metrics.contract",
    "Engine": "telbench.harness.engines.contract",
    "Item": "telbench.harness.datasets.items",
    "Judge": "telbench.judges.contract",
    "InputError": "telbench.errors",
}
__all__ = [
    "Engine",
    "InputError",
    "Item",
    "Judge",
    "Metric",
    "Run",
    "Sample",
    "__version__",
    "board",
    "check",
    "compare",
    "distill",
    "evaluate",
    "metric",
    "score",
    "sft",
]

if TYPE_CHECKING:
    from telbench.calls import board, check, compare, distill, evaluate, score, sft
    from telbench.errors import InputError
    from telbench.harness.datasets.items import Item
    from telbench.harness.engines.contract import Engine
    from telbench.harness.runs.folder import Run
    from telbench.judges.contract import Judge
    from telbench.metrics.contract import Metric, Sample, metric

    __version__: str


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("telbench")
    elif name in _NAMES:
        found = getattr(importlib.import_module(_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'telbench' has no attribute '{name}'")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names beside what is there."""
    return sorted({*globals(), *__all__})

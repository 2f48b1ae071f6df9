"""A third party's logger: a line a number in ``FOLDER/csv/NAME.csv``."""

from __future__ import annotations

from collections.abc import Mapping

from telbench.harness.loggers.contract import LoggedRun, LoggerSpec


class Lines:
    """One run in its file."""

    def __init__(self, run: LoggedRun) -> None:
        folder = run.folder / "csv"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{run.name}.csv").open("a", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """A line a number."""
        self._file.writelines(f"{step},{name},{value!r}\n" for name, value in values.items())

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._file.close()


CSV = LoggerSpec("csv", "csv", Lines)

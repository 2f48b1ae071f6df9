"""A folder is there whole or not at all, and what others made is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.kd.checkpoints import whole_folder


def test_a_folder_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="was not made by telbench"), whole_folder(mine, "telbench.json"):
        pass
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_whole_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_folder(tmp_path / "made", "mark") as scratch:
            (scratch / "mark").write_text(content)
    assert (tmp_path / "made" / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]

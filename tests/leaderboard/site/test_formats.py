"""Numbers and texts as pages have them: many at once as one by one."""

from __future__ import annotations

import math
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from telbench.harness.cli.terminal import visible
from telbench.leaderboard.site.formats import score, scores

ENTRIES = [
    {"range": [0, 1]},
    {"range": [0, 100], "ci_low": 3.1, "ci_high": 3.4},
    {"range": [0, None], "ci_low": None, "ci_high": None},
    {"range": [-1, 1], "ci_low": 0.40001, "ci_high": 0.40003},
]


@given(st.lists(st.floats(allow_infinity=False, width=64)), st.sampled_from(ENTRIES))
def test_a_column_of_scores_is_written_as_its_scores(values: list[float], entry: dict[str, object]) -> None:
    assert scores(values, entry) == [score(None if math.isnan(value) else value, entry) for value in values]


@given(st.text(st.characters() | st.sampled_from("\u0000\u202e\ud800\n\t\r\x1b\u00ad")), st.booleans())
def test_each_hidden_character_and_no_other_is_shown_as_an_escape(text: str, lines: bool) -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for character in set(text):
        shown = visible(character, lines=lines, encoding="utf-8")
        kept = lines and character in "\n\t"
        assert (shown == character) == (kept or unicodedata.category(character) not in hidden)
    assert visible(text, lines=lines, encoding="utf-8") == "".join(
        visible(character, lines=lines, encoding="utf-8") for character in text
    )

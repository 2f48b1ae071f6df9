"""Prices: read strictly, and never a part of the cost as the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.judges.panel import Tally
from telbench.judges.server.prices import JudgingCost, Price, PriceTable, cost, read_prices

TABLE = PriceTable({"big": Price(2.0, 10.0), "small": Price(0.15, 0.6)}, "USD")


def counters(**tokens: tuple[int, int]) -> dict[str, Tally]:
    return {judge: Tally(1, 1, prompt, completion) for judge, (prompt, completion) in tokens.items()}


def test_a_table_is_read_with_its_currency(tmp_path: Path):
    file = tmp_path / "prices.json"
    file.write_text('{"small": {"prompt": 0.15, "completion": 0.6}, "free": {"prompt": 0, "completion": 0}}')
    assert read_prices(file) == PriceTable({"small": Price(0.15, 0.6), "free": Price(0.0, 0.0)})
    file.write_text('{"currency": "EUR"}')
    assert read_prices(file) == PriceTable({}, "EUR")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"m": 3}', "'m' must be"),
        ('{"m": {"prompt": 1}}', "'m' must be"),
        ('{"m": {"prompt": 1, "completion": 1, "image": 2}}', "nothing else"),
        ('{"m": {"prompt": "1", "completion": 1}}', "'prompt' must be a number"),
        ('{"m": {"prompt": 1, "completion": -1}}', "'completion' must be a number"),
        ('{"m": {"prompt": true, "completion": 1}}', "'prompt' must be a number"),
        ('{"m": {"prompt": NaN, "completion": 1}}', "NaN is not JSON"),
        ('{"m": {"prompt": 1e400, "completion": 1}}', "'prompt' must be a number"),
        ('{"m": {"prompt": 1, "prompt": 2, "completion": 1}}', "a key occurs twice"),
        ('{"currency": 1}', "'currency' must be a text"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_price_is_refused_in_one_line(tmp_path: Path, text: str, said: str):
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_prices(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_prices(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_prices(tmp_path / "bytes.json")


def test_a_panel_costs_the_sum_over_its_judges():
    found = cost(counters(big=(1_000_000, 200_000), small=(2_000_000, 500_000)), TABLE)
    assert found.amount == pytest.approx(2.0 + 2.0 + 0.3 + 0.3)
    assert (found.currency, found.reason) == ("USD", None)


def test_nothing_asked_costs_nothing():
    assert cost({}, TABLE) == JudgingCost(0.0, "USD")


def test_a_judge_without_a_price_leaves_the_cost_unknown():
    assert cost(counters(big=(10, 10), other=(1, 1)), TABLE) == JudgingCost(None, "USD", "no price for other")


def test_a_server_that_counts_no_tokens_leaves_the_cost_unknown():
    assert cost(counters(big=(0, 0)), TABLE) == JudgingCost(None, "USD", "the server of big counts no tokens")

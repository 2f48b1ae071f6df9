"""Options as a prompt lists them: shuffled, unless they speak of each other."""

from __future__ import annotations

import pytest

from telbench.harness.datasets.items import Item
from telbench.harness.prompts.build import INSTRUCTIONS, PromptSettings, message
from telbench.harness.prompts.options import option_labels, option_letter, shown_order

CLOSED = PromptSettings("closed")


def item(*choices: str, name: str = "q") -> Item:
    return Item(name, "Which?", choices=choices, answer=(0,))


@pytest.mark.parametrize(
    ("choices", "numbered"),
    [
        (("UDP", "TCP", "SCTP", "Both option 1 and option 3"), True),
        (("UDP", "TCP", "Both 1 and 2", "Neither 1 nor 2"), True),
        (("UDP", "TCP", "SCTP", "Both A and B"), False),
        (("UDP", "TCP", "SCTP", "A, B and C"), False),
        (("UDP", "TCP", "Both scenarios described in options A and B are right", "SCTP"), False),
    ],
)
def test_options_that_name_others_keep_order_and_labels(choices: tuple[str, ...], numbered: bool) -> None:
    for seed in range(20):
        assert shown_order(item(*choices), seed) == (0, 1, 2, 3)
    assert option_labels(item(*choices)) == (("1", "2", "3", "4") if numbered else ("A", "B", "C", "D"))
    text = message(item(*choices), CLOSED, None)
    assert text.startswith(INSTRUCTIONS["choices by number" if numbered else "choices"])
    assert f"{'4' if numbered else 'D'}. {choices[3]}" in text


@pytest.mark.parametrize(
    "choices",
    [
        ("Option 1", "Option 2", "Option 7-2", "Option 8"),
        ("Option 7-2 and Option 8", "Option 6 and Option 8", "UDP", "TCP"),
        ("1 and 2 dB", "3 and 4 dB", "5 dB", "6 dB"),
        ("E=1, while all other fragments have E=0", "any previous transmission", "all others", "both"),
    ],
)
def test_options_that_only_look_like_it_are_shuffled_with_letters(choices: tuple[str, ...]) -> None:
    assert len({shown_order(item(*choices), seed) for seed in range(40)}) > 10
    assert option_labels(item(*choices)) == ("A", "B", "C", "D")


@pytest.mark.parametrize(
    "last", ["All of the above", "None of these.", "Neither of the above", "None of the other options"]
)
def test_an_option_that_sums_the_others_up_stays_last_while_they_are_shuffled(last: str) -> None:
    orders = {shown_order(item("UDP", "TCP", "SCTP", last), seed) for seed in range(60)}
    assert {order[3] for order in orders} == {3}
    assert len(orders) == 6


def test_two_that_sum_up_stay_last_and_one_among_the_others_keeps_the_order() -> None:
    two = item("UDP", "TCP", "All of the above", "None of the above")
    assert {shown_order(two, seed) for seed in range(40)} == {(0, 1, 2, 3), (1, 0, 2, 3)}
    assert {shown_order(item("UDP", "All of the above", "TCP"), seed) for seed in range(40)} == {(0, 1, 2)}


def test_more_options_than_letters_go_on_with_pairs() -> None:
    lines = message(item(*(f"cause {n}" for n in range(60))), CLOSED, None).splitlines()[2:]
    assert [line.partition(".")[0] for line in (lines[0], lines[25], lines[26], lines[59])] == ["A", "Z", "AA", "BH"]
    assert len({option_letter(n) for n in range(1000)}) == 1000

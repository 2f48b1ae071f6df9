"""The options of a question as a prompt lists them: their order, by item and seed, and their labels."""

from __future__ import annotations

import random
import re

from ..datasets.items import Item

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LABEL = r"\(?([A-J]|\d{1,2})\)?(?![\w-])"
_JOINED = r"\s*(?i:,|&|and|or|nor|(?:and|or|nor)\s+options?)\s*"
# "Both option 1 and 3", "Neither A nor C", "A, B and D": options that name others by their labels. An option that is
# "Option 2" and nothing else is a name: O-RAN's functional splits are called so.
_NAMES_LABELS = re.compile(
    rf"(?<!^)\b(?i:options?|choices?|answers?)\s+{_LABEL}"
    rf"|\b(?i:options?|choices?|answers?|both|either|neither|only|all\s+of)\s+(?i:options?\s+)?{_LABEL}{_JOINED}{_LABEL}"
    r"|^\s*\(?([A-J])\)?(?:\s*(?:,|&|(?i:and|or)\b)\s*\(?[A-J]\)?)+\s*\.?\s*$"
)
# "All of the above", "None of these": options that sum the others up.
_SUMS_UP = re.compile(
    r"(?i:\b(?:all|none|any|some|both|neither|either)\s+(?:of\s+(?:the\s+)?(?:above|foregoing|preceding|previous|these"
    r"|those|them|others?|options|choices|answers|mentioned|listed)|(?:the\s+)?above)\b)"
)


def shown_order(item: Item, seed: int) -> tuple[int, ...]:
    """The permutation in which the options are listed: by item and seed, the same for every checkpoint.

    Options that name others by label keep the order of the data. So do those that sum the others up ("all of the
    above") and stand among them; where they are last they stay last, and the others are shuffled.

    >>> shown_order(Item("q", "?", choices=("LTE", "NR", "Both A and B")), 0)
    (0, 1, 2)
    """
    order = list(range(len(item.choices)))
    summing = [index for index, choice in enumerate(item.choices) if _SUMS_UP.search(choice)]
    shuffled, last = order[: len(order) - len(summing)], order[len(order) - len(summing) :]
    if _named_labels(item) or summing != last:
        return tuple(order)
    random.Random(f"{seed}:{item.id}").shuffle(shuffled)
    return (*shuffled, *last)


def option_labels(item: Item) -> tuple[str, ...]:
    """Labels of the places in the list: letters, or numbers where an option names another by its number.

    >>> option_labels(Item("q", "?", choices=("LTE", "NR", "Both option 1 and option 2")))
    ('1', '2', '3')
    """
    positions = range(len(item.choices))
    if any(label.isdecimal() for label in _named_labels(item)):
        return tuple(str(position + 1) for position in positions)
    return tuple(map(option_letter, positions))


def _named_labels(item: Item) -> set[str]:
    """Labels by which the options name each other; one that no option has is a name of something else."""
    count = len(item.choices)
    found = {label for choice in item.choices for match in _NAMES_LABELS.finditer(choice) for label in match.groups()}
    own = {option_letter(position) for position in range(count)} | {str(position + 1) for position in range(count)}
    return found & own


def option_letter(position: int) -> str:
    """A, B … Z, then AA, AB …"""
    quotient, rest = divmod(position, len(LETTERS))
    return (option_letter(quotient - 1) if quotient else "") + LETTERS[rest]

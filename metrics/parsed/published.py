"""The scores of GSMA's Open Telco evaluations by their published rules, to be held against their board.

Read in gsma-labs/evals at 708f1c5 (``src/evals``: telemath, telelogs, three_gpp). The rules are theirs, faults
included: `numeric_match` and `label_match` are telbench's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from ..contract import ItemScore, Metric, Sample, Trial
from .forms import value_metric

NO_BOX, NO_CODE = "no box in the answer", "no code of letters and digits in the answer"
# Braces one deep, as published: two deep are no box.
_BOX = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_BREAK = re.compile(r"\n\s*")
_INTEGER = re.compile(r"\d+")
_GROUP = re.compile(r"([A-Z]+\d+(?:-[A-Z]+)?)", re.IGNORECASE)


def last_box(prediction: str) -> str:
    r"""The last box as the published scorers read it: line breaks out, no colons before, no dots and slashes behind.

    >>> last_box(r"\boxed{1} \boxed{: C3.}"), last_box("C3")
    (' C3', '')
    """
    found = _BOX.findall(prediction)
    return _BREAK.sub("", found[-1].strip()).lstrip(":").rstrip("./") if found else ""


def _telemath(prediction: str, target: str) -> tuple[bool, str | None]:
    said = last_box(prediction)
    try:
        right = math.isclose(float(said), float(target), rel_tol=0.01, abs_tol=0.01)
    except ValueError:
        right = said == target
    return right, None if said else NO_BOX


def _telelogs(prediction: str, target: str) -> tuple[bool, str | None]:
    said = last_box(prediction)
    found, wanted = _INTEGER.search(said), _INTEGER.search(target)
    right = found is not None and wanted is not None and int(found[0]) == int(wanted[0])
    return right, None if said else NO_BOX


def _three_gpp(prediction: str, target: str) -> tuple[bool, str | None]:
    found = _GROUP.search(prediction)
    return found is not None and found[1].casefold() == target.casefold(), None if found else NO_CODE


# What all three rules take for right, and for wrong.
_TRIAL = Trial("C3", "\\boxed{C3}", "\\boxed{C4}")


def _metric(name: str, description: str, rule: Callable[[str, str], tuple[bool, str | None]], read: str) -> Metric:
    def score(sample: Sample) -> ItemScore:
        verdicts = [rule(sample.prediction, target) for target in sample.references]
        return ItemScore(float(any(right for right, _ in verdicts)), verdicts[0][1])

    options = {"read": read, "rules": "gsma-708f1c5", "unparsed": "wrong"}
    return value_metric(name, description, score, options, trial=_TRIAL)


gsma_telemath = _metric(
    "gsma_telemath",
    "GSMA's rule for TeleMath: the last box is within 1 % or 0.01 of the reference.",
    _telemath,
    "last-box",
)
gsma_telelogs = _metric(
    "gsma_telelogs",
    "GSMA's rule for TeleLogs: the first whole number in the last box is that of the reference.",
    _telelogs,
    "integer-in-last-box",
)
gsma_3gpp_tsg = _metric(
    "gsma_3gpp_tsg",
    "GSMA's rule for 3GPP-TSG: the first letters with digits anywhere in the answer are the reference.",
    _three_gpp,
    "first-code",
)

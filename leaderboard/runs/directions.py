"""Which way a metric of another harness is better: what its log says, what its name says, what the user says.

A name is read by whole words, those after its last slash: ``pattern`` has no ``ter`` in it. What no list knows, or both
know, is asked for, because a wrong guess turns every verdict round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from telbench.config import near_name, setting
from telbench.errors import InputError

# docs/ci.md shows both lists.
LOWER = ("perplexity", "ppl", "bits_per_byte", "bpb", "nll", "loss", "brier", "ece", "error", "errors")
LOWER += ("mae", "mse", "rmse", "ter", "wer", "cer", "edit_distance", "latency", "toxicity")
LOWER += ("hallucination", "hallucinations")
HIGHER = ("acc", "accuracy", "exact_match", "em", "f1", "precision", "recall", "mcc", "auc", "auroc", "mrr", "ndcg")
HIGHER += ("bleu", "sacrebleu", "chrf", "meteor", "rouge", "rouge1", "rouge2", "rougel", "rougelsum", "bertscore")
HIGHER += ("correct", "correctness", "faithfulness", "pass_at")
# Words of everyday language count only where they are the whole name: inspect's scorers, and lm-eval's likelihood.
HIGHER_NAMES = ("match", "includes", "pattern", "answer", "choice", "exact", "math", "model_graded_qa")
HIGHER_NAMES += ("model_graded_fact", "likelihood")
# Beside these a known word may mean its opposite, as in accuracy_drop or hallucination_free.
_DOUBTFUL = {"no", "non", "not", "free", "without", "anti", "inverse", "inverted", "neg", "negative", "minus", "drop"}
_DOUBTFUL |= {"gap", "delta", "diff", "difference", "std", "stderr", "variance", "reduction", "false", "resistance"}
# Shares of right answers: a number outside 0 to 1 is none.
_SHARES = ("acc", "accuracy", "exact_match")


@dataclass(frozen=True)
class LogSettings:
    """What a log of another harness leaves open."""

    lower_is_better: tuple[str, ...] = setting(
        (), "a metric of another harness's log that is better when lower", many="repeat", metavar="NAME"
    )
    higher_is_better: tuple[str, ...] = setting(
        (), "a metric of another harness's log that is better when higher", many="repeat", metavar="NAME"
    )

    def told(self, name: str) -> bool | None:
        """What the user says of the metric, by its name with or without what stands before the slash; None: nothing."""
        names = set(_called(name))
        if names & set(self.lower_is_better):
            return False
        return True if names & set(self.higher_is_better) else None

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse a metric that no log has, or that is said to be both.

        Raises:
            InputError: with the near name.
        """
        if both := sorted(set(self.lower_is_better) & set(self.higher_is_better)):
            raise InputError(f"{both[0]} is given as --lower-is-better and as --higher-is-better: choose one")
        known = list(dict.fromkeys(each for name in names for each in _called(name)))
        for flag, given in (("lower", self.lower_is_better), ("higher", self.higher_is_better)):
            for name in given:
                if name not in known:
                    near = near_name(name, known) if known else "only those of lm-eval and inspect are asked for"
                    raise InputError(f"--{flag}-is-better {name}: no log of another harness has this metric: {near}")


AS_LOGGED = LogSettings()


def direction(name: str, logged: bool | None, settings: LogSettings) -> bool | None:
    """Is more better? The user's word comes before the log's, and that before the name's; None: nobody knows.

    >>> [direction(name, None, AS_LOGGED) for name in ("pattern", "judge/wer", "acc@strict", "glossary")]
    [True, False, True, None]
    """
    told = settings.told(name)
    if told is not None:
        return told
    return by_name(name) if logged is None else logged


def by_name(name: str) -> bool | None:
    """Is more better, by the words of the name? None where they do not say."""
    words = _words(name)
    if "_".join(words) in HIGHER_NAMES:
        return True
    lower, higher = _holds(words, LOWER), _holds(words, HIGHER)
    return None if lower == higher or _DOUBTFUL & set(words) else higher


def share(name: str) -> bool:
    """Is it a share of right answers, from 0 to 1, by its name?"""
    words = _words(name)
    return _holds(words, _SHARES) and by_name(name) is True


def require_directions(undirected: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse metrics of which nobody knows which way is better; ``undirected``: where each of those comes from.

    Raises:
        InputError: naming them and the flags that say it.
    """
    found = [name for name in names if name in undirected]
    if found:
        raise InputError(
            f"{undirected[found[0]]}: neither the log nor the name says which way is better for {', '.join(found)}: "
            f"pass --higher-is-better {found[0]} or --lower-is-better {found[0]} for each of them"
        )


def _called(name: str) -> tuple[str, ...]:
    """The names that a user may call the metric by: with and without its task or scorer, and its filter."""
    plain = name.partition("@")[0]
    return name, plain, name.rpartition("/")[2], plain.rpartition("/")[2]


def _words(name: str) -> Sequence[str]:
    last = name.partition("@")[0].rpartition("/")[2]
    return re.findall(r"[a-z0-9]+", last.lower())


def _holds(words: Sequence[str], phrases: Sequence[str]) -> bool:
    text = f"_{'_'.join(words)}_"
    return any(f"_{phrase}_" in text for phrase in phrases)

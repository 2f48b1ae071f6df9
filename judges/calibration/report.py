"""A calibration as lines of text for a terminal: what speaks against a judge first, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .agreement import CoefficientEstimate
from .calibrate import Calibration, Consistency, JudgeCalibration, ScoreCalibration, ShareCalibration
from .diagnostic import DiagnosticRow
from .labelled import INJECTED, RIGHT_SCORE
from .plot import short_name

# Where a number becomes a warning; docs/judges.md explains each of them.
MOST_MISSING = 0.05
LEAST_KAPPA = 0.6
MOST_BIAS = 0.25
MOST_SHARE_BIAS = 0.1
MOST_INJECTED_LEAD = 0.5
MOST_LENGTH_CORRELATION = 0.2
LEAST_EQUAL = 0.9
MOST_P = 0.05
COIN = 0.5


def report_lines(calibration: Calibration) -> list[str]:
    """The whole report: warnings, then a table of the judges, the means by kind of answer, and the panel."""
    head = (
        f"{len(calibration.judges)} judge(s) on {calibration.labels} labelled answers to {calibration.questions} "
        f"questions; in brackets 95 % intervals over questions ({calibration.resamples} resamples, "
        f"seed {calibration.seed})"
    )
    warned = [f"warning: {short_name(judge.judge)}: {text}" for judge in calibration.judges for text in warnings(judge)]
    lines = [head, "", *warned, *([""] if warned else [])]
    for judge in calibration.judges:
        lines += [short_name(judge.judge, 100), *(f"  {line}" for line in _judge_lines(judge)), ""]
    if len(calibration.judges) > 1:
        lines.append(f"agreement of the judges among themselves: alpha {_with_interval(calibration.panel_alpha)}")
    return lines


def warnings(judge: JudgeCalibration) -> list[str]:
    """What makes a judge unfit or its scores doubtful, the gravest first; empty where nothing does."""
    texts = list[str]()
    for name, part in (("score", judge.score), ("factual", judge.factual), ("faithfulness", judge.faithfulness)):
        if part is not None:
            texts += _missing_warning(name, part.n, part.missing)
    if judge.diagnostic:
        texts += _diagnostic_warnings(judge.diagnostic[0], known=judge.score is not None)
    if judge.score is not None:
        texts += _score_warnings(judge.score)
    for name, share in (("factual", judge.factual), ("faithfulness", judge.faithfulness)):
        if share is not None and _biased(share.bias, MOST_SHARE_BIAS):
            texts.append(f"{name} is {_direction(share.bias)} by {_with_interval(share.bias, absolute=True)}")
        if share is not None:
            texts += _consistency_warning(name, share.consistency)
    position = judge.position
    if position is not None and position.p_value is not None and position.p_value < MOST_P:
        place = "first" if position.first > position.second else "second"
        texts.append(
            f"prefers the {place} place: {max(position.first, position.second)} pairs against "
            f"{min(position.first, position.second)}, p {position.p_value:.2g}; use both orders"
        )
    return texts


def _score_warnings(score: ScoreCalibration) -> Iterator[str]:
    for row in score.kinds:
        lead = None if row.judge_mean is None or row.label_mean is None else row.judge_mean - row.label_mean
        others = None if score.mean_error.value is None else score.mean_error.value
        if row.kind == INJECTED and lead is not None and others is not None and lead - others > MOST_INJECTED_LEAD:
            yield f"answers that try to steer it score {lead:+.2f} against the labels, all answers {others:+.2f}"
    kappa = score.quadratic_kappa
    if kappa.value is None:
        yield f"agreement is undefined: {kappa.reason}"
    elif kappa.value < LEAST_KAPPA:
        shown = _with_interval(kappa)
        yield f"agrees too little with the labels: quadratic kappa {shown}, wanted {LEAST_KAPPA} or more"
    if _biased(score.mean_error, MOST_BIAS):
        yield f"is {_direction(score.mean_error)} by {_with_interval(score.mean_error, absolute=True)} points"
    length = score.length.spearman.value
    if length is not None and abs(length) >= MOST_LENGTH_CORRELATION:
        yield f"favours {'long' if length > 0 else 'short'} answers: its error goes with length, Spearman {length:+.2f}"
    yield from _consistency_warning("score", score.consistency)


def _diagnostic_warnings(all_answers: DiagnosticRow, known: bool) -> Iterator[str]:
    """``known``: what is missing was told with the scores."""
    if not known:
        yield from _missing_warning("score", all_answers.right + all_answers.wrong, all_answers.missing)
    auc = all_answers.auc
    if auc.low is not None and auc.high is not None and auc.low <= COIN:
        told = (
            "does not tell right answers from wrong ones"
            if auc.high >= COIN
            else "scores wrong answers above right ones"
        )
        yield f"{told}: AUC {_with_interval(auc)}, {COIN} is a coin"


def _missing_warning(name: str, n: int, missing: Mapping[str, int]) -> Iterator[str]:
    lost = sum(missing.values())
    if lost and lost > MOST_MISSING * (n + lost):
        yield f"{name} is missing for {lost} of {n + lost} answers ({_counted(missing)})"


def _consistency_warning(name: str, found: Consistency | None) -> Iterator[str]:
    if found is not None and found.equal.value is not None and found.equal.value < LEAST_EQUAL:
        yield f"{name} changes when asked again: only {found.equal.value:.0%} of the answers keep it"


def _judge_lines(judge: JudgeCalibration) -> Iterator[str]:
    if judge.score is not None:
        yield from _score_lines(judge.score)
    if judge.diagnostic:
        yield from _diagnostic_lines(judge.diagnostic)
    for name, share in (("factual F1", judge.factual), ("faithfulness", judge.faithfulness)):
        if share is not None:
            yield from _share_lines(name, share)
    if judge.position is not None:
        found = judge.position
        follows = "-" if found.follows is None else f"{found.follows:.0%}"
        p_value = "-" if found.p_value is None else f"{found.p_value:.3g}"
        yield (
            f"position      {follows} of pairs follow the place (first {found.first}, second {found.second}, "
            f"consistent {found.consistent}, mixed {found.mixed}, missing {found.missing}), p {p_value}"
        )


def _score_lines(score: ScoreCalibration) -> Iterator[str]:
    yield f"rubric score  n {score.n}, missing {_reasons(score.missing)}"
    rows: Sequence[tuple[str, CoefficientEstimate]] = (
        ("exact agreement", score.exact),
        ("kappa", score.kappa),
        ("linear kappa", score.linear_kappa),
        ("quadratic kappa", score.quadratic_kappa),
        ("alpha (ordinal)", score.alpha),
        ("Spearman", score.spearman),
        ("mean error", score.mean_error),
    )
    for name, found in rows:
        yield f"  {name:<17} {_with_interval(found)}"
    length = score.length.spearman
    shown = f"{length.value:+.2f}" if length.value is not None else f"undefined: {length.reason}"
    yield f"  {'error and length':<17} {shown}"
    yield from _consistency_lines(score.consistency)
    if score.kinds:
        yield f"  {'kind':<17} {'n':>4} {'label':>7} {'judge':>7}"
    for row in score.kinds:
        label, judge = _mean_text(row.label_mean), _mean_text(row.judge_mean)
        yield f"  {short_name(row.kind, 17):<17} {row.n:>4} {label:>7} {judge:>7}"


def _diagnostic_lines(rows: Sequence[DiagnosticRow]) -> Iterator[str]:
    yield f"right or wrong (a score of {RIGHT_SCORE} or more says right), missing {_reasons(rows[0].missing)}"
    yield f"  {'answers of':<17} {'right':>5} {'wrong':>5}  {'sensitivity':<18} {'specificity':<18} AUC"
    for row in rows:
        sensitivity, specificity = (_share_text(found) for found in (row.sensitivity, row.specificity))
        auc = _share_text(row.auc)
        name = "all" if row.system is None else short_name(row.system, 17)
        yield f"  {name:<17} {row.right:>5} {row.wrong:>5}  {sensitivity:<18} {specificity:<18} {auc}"


def _share_lines(name: str, share: ShareCalibration) -> Iterator[str]:
    yield f"{name:<13} n {share.n}, missing {_reasons(share.missing)}"
    yield f"  {'absolute error':<17} {_with_interval(share.absolute_error)}"
    yield f"  {'bias':<17} {_with_interval(share.bias)}"
    if share.undefined:
        yield f"  {'no claims':<17} {share.undefined} answers by the labels; the judge found claims in {share.invented}"
    yield from _consistency_lines(share.consistency)


def _consistency_lines(found: Consistency | None) -> Iterator[str]:
    if found is None:
        return
    equal = "-" if found.equal.value is None else f"{found.equal.value:.0%}"
    alpha = "-" if found.alpha.value is None else f"{found.alpha.value:.2f}"
    yield f"  {'asked again':<17} {equal} equal in all of {found.passes} passes, alpha {alpha}"


def _biased(found: CoefficientEstimate, most: float) -> bool:
    """Whether the bias is too large, and more than chance where there is an interval."""
    if found.value is None or abs(found.value) < most:
        return False
    return found.low is None or found.high is None or found.low > 0 or found.high < 0


def _direction(found: CoefficientEstimate) -> str:
    return "too generous" if (found.value or 0) > 0 else "too strict"


def _with_interval(found: CoefficientEstimate, absolute: bool = False) -> str:
    if found.value is None:
        return f"undefined: {found.reason}"
    if found.low is None or found.high is None:
        return f"{abs(found.value) if absolute else found.value:.2f} [{found.reason}]"
    low, high, value = found.low, found.high, found.value
    if absolute and value < 0:
        low, high, value = -high, -low, -value
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _reasons(missing: Mapping[str, int]) -> str:
    return f"{sum(missing.values())} ({_counted(missing)})" if missing else "0"


def _counted(missing: Mapping[str, int]) -> str:
    return ", ".join(f"{short_name(reason, 60)} {count}" for reason, count in missing.items())


def _share_text(found: CoefficientEstimate) -> str:
    return "-" if found.value is None else _with_interval(found)


def _mean_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

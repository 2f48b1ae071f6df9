"""How likely a judge model finds the answer after the question: fluency and plausibility, not truth."""

from __future__ import annotations

from collections.abc import Sequence

from ...judges.likelihood import JudgedText, LikelihoodJudge, likelihood_judges, likelihood_request, log_likelihoods
from ...judges.panel import JudgePanel
from ..contract import ItemScore, Metric, MetricRecipe, Range, Resources, Sample, missing

NO_LIKELIHOODS = "judge gives no likelihoods"
NOT_SCORED = "the judge could not score the answer: it does not fit the judge's window"
EMPTY_ANSWER = "empty answer"
NAME = "judge_likelihood"
RANGE: Range = (None, 0)
NEEDS = frozenset({"judge"})


def question_message(sample: Sample) -> dict[str, str]:
    """The question with its context, where it has one, as the user's message to the judge."""
    context = f"Context: {sample.context}\n" if sample.context and sample.context.strip() else ""
    return {"role": "user", "content": f"Answer the telecom question.\n{context}Question: {sample.question}"}


def judged_texts(sample: Sample) -> tuple[JudgedText, ...]:
    """The answer as the reply to its question; none for an empty one."""
    if not sample.prediction.strip():
        return ()
    return (JudgedText((question_message(sample),), sample.prediction, sample.item_id),)


def _score_answers(
    panel: JudgePanel, judges: Sequence[LikelihoodJudge], samples: Sequence[Sample]
) -> Sequence[ItemScore]:
    answered = [index for index, sample in enumerate(samples) if judged_texts(sample)]
    scores = [missing(EMPTY_ANSWER)] * len(samples)
    asked, found = [], []
    for judge in judges:
        requests = [
            likelihood_request(judge.identity, text) for index in answered for text in judged_texts(samples[index])
        ]
        asked.append([request.key for request in requests])
        found.append(log_likelihoods(panel, judge, requests))
    for place, index in enumerate(answered):
        keys = tuple(column[place] for column in asked)
        scores[index] = _mean_likelihood(keys, [values[key] for key, values in zip(keys, found, strict=True)])
    return scores


def _mean_likelihood(keys: tuple[str, ...], found: Sequence[tuple[float, int] | None]) -> ItemScore:
    """The mean over all judges; none where one of them has no value, as judges differ in their level."""
    values = [each[0] / each[1] for each in found if each is not None]
    if len(values) < len(found):
        return ItemScore(None, NOT_SCORED, judgements=keys, judge_failed=True)
    return ItemScore(sum(values) / len(values), judgements=keys)


def _build_judge_likelihood(resources: Resources) -> Metric:
    panel = resources.judge
    judges = () if panel is None else likelihood_judges(panel)

    def score_batch(samples: Sequence[Sample]) -> Sequence[ItemScore]:
        if panel is None:
            return [missing(resources.no_judge) for _ in samples]
        if not judges:
            return [missing(NO_LIKELIHOODS) for _ in samples]
        return _score_answers(panel, judges, samples)

    return Metric(
        name=NAME,
        family="likelihood",
        range=RANGE,
        higher_is_better=True,
        needs=NEEDS,
        level="item",
        description=(
            "Mean natural log-probability a token of the answer under the judge model, given question and context; "
            "the mean over judges that give likelihoods. Says how plausible the answer reads, not whether it is right."
        ),
        score_batch=score_batch,
        options={"end": "no", "judge": "+".join(judge.identity.name for judge in judges) or "none"},
        # 2: control tokens that question or context spell out are broken.
        version=2,
        judge_texts=judged_texts if judges else None,
    )


judge_likelihood = MetricRecipe(NAME, "likelihood", RANGE, NEEDS, _build_judge_likelihood)

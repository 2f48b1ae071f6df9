"""What is made ready before any engine starts: items and prompts, and the models that metrics are made with.

Runs of one process have items, and prompts in the tokens of a tokenizer, in common.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from telbench.config import written

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import file_sha256, fingerprint
from ..alike import without_origins
from ..checkpoint import Checkpoint
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import WholeSet, limited, load_whole
from ..identity import TOKENIZER_PARTS
from ..judging.settings import JudgeSettings
from .settings import EvalSettings

Made = TypeVar("Made")
# What prompts are built of, beside items and settings.
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "processor_config.json")
# Settings that no prompt depends on: those of runs whose prompts are the same.
_FREE = ("model", "name", "out", "fresh", "cache", "workers", "encoder", "encoder_layer", "encoder_idf", "nli")

# What open items are scored with beside n-grams, where their references are short, and where they hold facts.
RECALL = ("token_recall", "token_precision", "reference_included")
FACTS = ("fact_agreement", "fact_contradiction", "fact_omission")


class Prepared:
    """Made once and kept for the runs that follow; all of it is read only.

    Files are taken to stay as they are while the process runs.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gave for the key, now or before."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def data(self, settings: EvalSettings) -> tuple[WholeSet, DataSet, DataSet]:
        """(All items of the set, its split, what is asked of that). Raises `InputError` as `load_whole`."""
        asked = settings.data
        place = fingerprint({**written(asked), "split": "", "limit": 0})
        everything = self.once(("set", place), lambda: load_whole(asked))
        whole = self.once(("split", place, asked.split), lambda: everything.split(asked.split))
        drawn = ("drawn", place, asked.split, asked.limit, settings.sampling.seed if asked.limit else None)
        return everything, whole, self.once(drawn, lambda: limited(whole, asked.limit, settings.sampling.seed))


def prompts_key(settings: EvalSettings, cutter: Checkpoint | None, needs: frozenset[str]) -> Hashable:
    """What prompts depend on: settings, the files of tokenizer and configuration, and what metrics ask for.

    Judges, encoders and places are left out: they meet answers, not prompts. Raises `InputError` where a file cannot
    be read.
    """
    asked = written(replace(settings, judging=type(settings.judging)()))
    asked = {name: value for name, value in asked.items() if name not in _FREE}
    files: list[Any] = [] if cutter is not None else [settings.model]
    if cutter is not None:
        names = {*TOKENIZER_PARTS, *_TEMPLATES}
        paths = [cutter.tokenizer_path / name for name in sorted(names)]
        paths += sorted((cutter.tokenizer_path / "additional_chat_templates").glob("*.jinja"))
        files = [[path.name, file_sha256(path)] for path in paths if path.is_file()]
        files.append(without_origins(cutter.config))
        files += [str(cutter.path)] if cutter.trust_remote_code else []
    return ("prompts", fingerprint([asked, files, sorted(needs)]))


def resources_of(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The judges, the encoder and the entailment model that the settings name."""
    asked = settings.metrics
    models = models_of(asked.encoder, asked.encoder_layer, asked.nli)
    judging = replace(settings.judging, anew=settings.fresh)
    resources = with_judges(models, judging, "a run", settings.sampling.seed)
    if resources.judge is not None and settings.engine.engine == "openai":
        from ...judges.server.served import keys_sent, refuse_shared_keys
        from ...judges.server.settings import KEY_VARIABLE

        # The candidate's server gets the key of this variable.
        refuse_shared_keys([(KEY_VARIABLE, settings.engine.base_url), *keys_sent(resources.judge.identities)])
    if asked.encoder_idf:
        # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
        resources = replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))
    return resources


def models_of(encoder: str, layer: int | None, nli: str) -> Resources:
    """The encoder and the entailment model of these places; an empty place names none.

    Raises:
        InputError: for a place that holds no usable model.
    """
    resources = encoder_resources(encoder, layer) if encoder else Resources()
    if nli:
        from ...metrics.entailment.model import entailment_resources

        resources = entailment_resources(nli, resources)
    return resources


def with_judges(resources: Resources, judging: JudgeSettings, what: str, seed: int = 0) -> Resources:
    """The resources with the judges and rubrics that are named; ``what`` they are for is told where one is of no use.

    Raises:
        InputError: for a judge that cannot be asked, or a rubric that no metric has.
    """
    if not (judging.specs or judging.rubrics):
        return resources
    # All of judges: a run without them starts without it.
    from ..judging.open import METRIC_RUBRICS, open_panel, refuse_unused

    refuse_unused(judging.rubrics, METRIC_RUBRICS, what)
    return replace(resources, judge=open_panel(judging, seed), rubrics=judging.rubrics, joint=judging.joint)


def cut(
    whole: DataSet, names: Sequence[str], resources: Resources, settings: EvalSettings, reporter: Reporter
) -> tuple[Metric, ...]:
    """The metrics in the form that the scripts of the references need, or that the user asks for."""
    from ...metrics.ngram.scripts import scripts_of, segmentation_note

    asked = settings.metrics.segmentation
    scripts = scripts_of([text for item in whole.items for text in item.references])
    used = scripts.needed if asked == "auto" else asked
    metrics = tuple(metrics_named(names, replace(resources, segmentation=used)))
    if told := segmentation_note(scripts, used, metrics):
        reporter.note(told)
    return metrics


def default_metrics(dataset: DataSet) -> tuple[str, ...]:
    """Choice metrics where items have options, n-gram metrics where they are open, refusals where some ought to be.

    Items whose answers have a form (``meta.form``: a number, a label) have the metrics that read it instead. Open items
    whose references are short have recall and inclusion too, and those whose references hold facts have the fact
    metrics (`are_short`, `hold_facts`).
    """
    from ...metrics.fact.scores import MOST_READ, hold_facts
    from ...metrics.ngram.inclusion import are_short
    from ...metrics.parsed.forms import form_metrics

    choices = open_ = refused = False
    # Places of the open items with references: some of those are read.
    asked = array("I")

    def metas() -> Iterator[Mapping[str, Any]]:
        nonlocal choices, open_, refused
        for place, item in enumerate(dataset.items):
            choices, refused = choices or bool(item.choices), refused or not item.answerable
            if not (item.choices or item.meta.get("form")):
                open_ = True
                if item.references:
                    asked.append(place)
            yield item.meta

    formed = form_metrics(metas())
    some = [dataset.items[place] for place in asked[:: -(-len(asked) // MOST_READ) or 1]]
    short = RECALL if are_short([item.references for item in some]) else ()
    facts = FACTS if hold_facts([(item.question, item.references) for item in some]) else ()
    ngram = ("ngram", *short, *facts) if open_ else ()
    return (("choice",) if choices else ()) + formed + ngram + (("refusal",) if refused else ())


def asked_metrics(dataset: DataSet, settings: EvalSettings, prepared: Prepared | None = None) -> tuple[str, ...]:
    """The data's default metrics, and those that an encoder, an entailment model or a judge was given for."""
    extra = (("embedding",) if settings.metrics.encoder else ()) + (("judged",) if settings.judging.specs else ())
    extra += ("entailment",) if settings.metrics.nli else ()
    usual = default_metrics
    return (usual(dataset) if prepared is None else prepared.once(id(dataset), lambda: usual(dataset))) + extra

"""What the user asks of a run, subject by subject. Flags, ``--config`` files and Python keywords are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from telbench.config import Bounded, group, read_settings, setting

from ..adaptive.settings import AdaptiveOptions
from ..datasets.settings import DataSettings
from ..engines.contract import Sampling
from ..judging.settings import JudgeSettings
from ..loggers.settings import ShownSettings

# Kinds of engine that read a setting; one that another engine would ignore in silence is refused.
LOADING = ("local", "other")
ASKING = ("local", "openai", "other")


@dataclass(frozen=True)
class PromptOptions(Bounded):
    """How items become prompts."""

    context: Literal["open", "closed"] | None = setting(
        None, "open book: show the context; closed: do not (default: by the data)"
    )
    chat_template: bool = setting(
        True,
        "use the plain template even if there is a chat one; a server is asked for /v1/completions",
        flag="--no-chat-template",
        engines=ASKING,
    )
    reasoning: str = setting(
        "auto",
        "where a reasoning trace ends: auto (as the model or the text tells), none, or a format such as qwen3",
        metavar="NAME",
    )
    system: str | None = setting(None, "system message before each prompt", metavar="TEXT", engines=ASKING)
    instruction: str | None = setting(
        None,
        "first line of each prompt instead of telbench's own; an empty one leaves it out",
        metavar="TEXT",
        engines=ASKING,
    )
    template: Path | None = setting(
        None,
        "Jinja2 file that writes the user's message from question, context, choices, labels ...",
        metavar="FILE",
        engines=ASKING,
    )
    raw: bool = setting(
        False, "the data's question is the whole message: no instruction, context or options", engines=ASKING
    )
    few_shot: int = setting(
        0,
        "show N examples before each question: of the train split, drawn by seed, never of the item's own document",
        metavar="N",
        low=0,
        high=1000,
        engines=ASKING,
    )
    few_shot_file: Path | None = setting(
        None,
        "data file of the examples (all of them, if --few-shot does not say how many)",
        metavar="FILE",
        engines=ASKING,
    )
    chat_template_file: Path | None = setting(
        None,
        "chat template instead of the checkpoint's own",
        flag="--chat-template",
        metavar="FILE",
        engines=("local", "tokens"),
    )
    chat_template_kwargs: Mapping[str, Any] = setting(
        {},
        "variables of the chat template, such as enable_thinking=false",
        metavar="KEY=VALUE,...",
        engines=("local", "openai"),
    )


@dataclass(frozen=True)
class SamplingOptions(Bounded):
    """How to decode; what is left open is taken from the data and the model."""

    max_tokens: int | None = setting(
        None,
        "longest answer in tokens (default: 128, more where the data's references are longer or the model thinks)",
        metavar="N",
        low=1,
        high=10**6,
        engines=ASKING,
    )
    temperature: float = setting(0.0, "0 is greedy", metavar="T", low=0, high=5, engines=ASKING)
    top_p: float = setting(1.0, "nucleus, where T is above 0", metavar="P", low=1e-6, high=1, engines=ASKING)
    seed: int = setting(0, "seed of sampling and option order", metavar="K", low=0, high=2**32 - 1)
    stop: tuple[str, ...] = setting(
        (),
        "text that ends an answer; may be given several times",
        many="repeat",
        metavar="TEXT",
        engines=ASKING,
    )
    top_k: int = setting(
        0, "draw from the N likeliest tokens, where T is above 0; 0: from all", metavar="N", low=0, engines=ASKING
    )
    min_p: float = setting(
        0.0,
        "draw from tokens with this share of the likeliest one's probability",
        metavar="P",
        low=0,
        high=1,
        engines=ASKING,
    )
    repetition_penalty: float = setting(
        1.0,
        "above 1: tokens of prompt and answer become less likely",
        metavar="X",
        low=0.01,
        high=100,
        engines=ASKING,
    )
    samples: int = setting(
        1,
        "answers an item, drawn with T above 0; each metric's value is their mean",
        metavar="N",
        low=1,
        high=1000,
        engines=ASKING,
    )

    def resolved(self, usual: int) -> Sampling:
        """The sampling, with ``usual`` for the longest answer where none is named."""
        known = {field.name for field in fields(Sampling)}
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name in known}
        return Sampling(**{**given, "max_tokens": self.max_tokens or usual})


@dataclass(frozen=True)
class MetricSettings(Bounded):
    """What is measured, and the encoder behind the embedding metrics."""

    metrics: tuple[str, ...] = setting(
        (),
        "metrics or families of metrics, see telbench metrics list (default: by the data)",
        many="comma",
        metavar="NAME,...",
    )
    encoder: str = setting(
        "",
        "encoder of the embedding metrics: its folder, or an id that the local hub cache holds",
        metavar="PATH|ID",
    )
    encoder_layer: int | None = setting(
        None, "layer whose token embeddings BERTScore compares (default: the last)", metavar="N", low=0
    )
    encoder_idf: bool = setting(
        False, "weight BERTScore's tokens by how rare they are in the references of these items (idf)"
    )
    nli: str = setting(
        "",
        "entailment model of nli_entailment and nli_contradiction: its folder, or an id in the local hub cache",
        metavar="PATH|ID",
    )
    segmentation: Literal["auto", "words", "unicode-words", "characters"] = setting(
        "auto", "how n-gram metrics cut texts; auto: as the scripts of the references want it"
    )
    workers: int = setting(1, "processes that score metrics without a model", metavar="N", low=1, high=256)


@dataclass(frozen=True)
class EngineOptions(Bounded):
    """What generates, and in which number format. The key of a server: OPENAI_API_KEY."""

    engine: str = setting(
        "auto",
        "vllm, transformers, openai, replay or ray; auto is vllm where installed, else transformers",
        metavar="NAME",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto", "number format; auto: as config.json says, on every engine and device", engines=LOADING
    )
    max_model_len: int | None = setting(
        None,
        "longest prompt with answer in tokens, if not the model's",
        metavar="N",
        low=1,
        engines=(*LOADING, "tokens"),
    )
    base: str = setting(
        "",
        "base model of a LoRA adapter, if not the one that its adapter_config.json names",
        metavar="PATH",
        engines=("local",),
    )
    trust_remote_code: bool = setting(False, "run Python code that the checkpoint brings", engines=LOADING)
    engine_option: Mapping[str, Any] = setting(
        {}, "arguments of vLLM (tensor_parallel_size=2) or of transformers (device_map=auto)", metavar="KEY=VALUE,..."
    )
    deterministic: bool = setting(
        False, "one prompt at a time: no answer depends on which prompts are worked on together (slow)"
    )
    replicas: int = setting(
        1,
        "ray: replicas of the model, each on GPUs of its own",
        metavar="N",
        low=1,
        high=4096,
        engines=("ray",),
    )
    replica_engine: str = setting(
        "auto", "ray: the engine of each replica, as --engine", metavar="NAME", engines=("ray",)
    )
    replica_options: Mapping[str, str] = setting(
        {},
        "ray: address, num_cpus, num_gpus, chunk, max_restarts, patience",
        metavar="NAME=VALUE,...",
        engines=("ray",),
    )
    online: bool = setting(False, "allow the network: --model may be a hub id")
    revision: str = setting("", "branch, tag or commit of a hub id, with --online", metavar="REV", engines=("local",))
    base_url: str = setting(
        "", "openai: the server, such as http://127.0.0.1:8000/v1", metavar="URL", engines=("openai",)
    )
    tokenizer: str = setting(
        "",
        "openai: folder of the served model's tokenizer and config.json: prompts go to /v1/completions in its tokens",
        metavar="PATH",
        engines=("openai",),
    )
    max_in_flight: int = setting(
        32, "openai: most requests at once", metavar="N", low=1, high=1000, engines=("openai",)
    )
    deadline: float = setting(
        120.0,
        "openai: seconds for one answer, retries included",
        metavar="S",
        low=0.1,
        high=86400,
        engines=("openai",),
    )


@dataclass(frozen=True)
class GivenAnswers(Bounded):
    """Answers that are there already, and what their letters mean."""

    answers: Path | None = setting(
        None, "replay: answers to score, as telbench score takes them", metavar="FILE", engines=("replay",)
    )
    shown_order: Literal["data", "seed"] = setting(
        "data",
        "what letters in a file of answers mean: the order of the data (or the file's own 'shown_choices'), or that of "
        "telbench's prompts with --seed",
        engines=("replay",),
    )
    missing_cap: float = setting(
        0.05, "largest share of items that a file may leave without an answer", low=0, high=1, engines=("replay",)
    )
    parameters: float | None = setting(
        None,
        "number of parameters of the model that answered, such as 7e9",
        metavar="N",
        low=1,
        engines=("replay",),
    )
    tokens_per_second: float | None = setting(
        None, "how fast it generated, as measured elsewhere", metavar="X", above=0, engines=("replay",)
    )
    cost: float | None = setting(
        None, "what these answers cost together, in US dollars", metavar="X", above=0, engines=("replay",)
    )
    factors: Mapping[str, str] = setting(
        {},
        "what sets it apart in a study, such as algorithm=dskd,seed=1",
        flag="--factor",
        metavar="NAME=LEVEL,...",
        engines=("replay",),
    )

    @property
    def told(self) -> dict[str, Any]:
        """What the user says of the model that answered; empty where nothing."""
        said = {
            "parameters": None if self.parameters is None else round(self.parameters),
            "tokens_per_second": self.tokens_per_second,
            "cost": self.cost,
            "factors": dict(self.factors) or None,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class EvalSettings:
    """One run: which checkpoint on which data, asked how, measured with what, kept where."""

    model: str = setting(
        "",
        "folder with config.json, *.safetensors and tokenizer, or of a LoRA adapter; for --engine openai the server's "
        "model name",
        metavar="CKPT",
    )
    data: DataSettings = group(DataSettings, "data")
    prompt: PromptOptions = group(PromptOptions, "prompts")
    metrics: MetricSettings = group(MetricSettings, "metrics")
    judging: JudgeSettings = group(JudgeSettings, "judges (key of a server: OPENAI_API_KEY)")
    engine: EngineOptions = group(EngineOptions, "engine (key of a server: OPENAI_API_KEY)")
    given: GivenAnswers = group(GivenAnswers, "answers made elsewhere")
    sampling: SamplingOptions = group(SamplingOptions, "generation")
    adaptive: AdaptiveOptions = group(AdaptiveOptions, "fewer questions for the same answer")
    shown: ShownSettings = group(ShownSettings, "where the finished run is shown")
    out: Path | None = setting(None, "run folder (default: runs/MODEL-DATA-SPLIT-...)", metavar="RUNDIR")
    fresh: bool = setting(False, "start over: drop what the run folder holds, skip the cache")
    cache: bool = setting(True, "neither read nor write the generation cache", flag="--no-cache")
    name: str = setting("", "name of the model on tables (default: its folder's name)", metavar="NAME")


def eval_settings(**asked: Any) -> EvalSettings:
    """The settings of a run from keywords, which are called as in a ``--config`` file.

    Raises:
        InputError: for a keyword that there is not, or a value of another type or out of bounds.
    """
    return read_settings(EvalSettings, asked, "evaluate")

"""What the user asks of a run, subject by subject. Flags, ``--config`` files and Python keywords are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from telbench.config import Bounded, group, read_settings, same_as, setting

from ..datasets.settings import DataSettings
from ..engines.contract import Sampling
from ..judging.settings import JudgeSettings


@dataclass(frozen=True)
class PromptOptions:
    """How items become prompts."""

    context: Literal["open", "closed"] | None = setting(
        None, "open book: show the context; closed: do not (default: by the data)"
    )
    chat_template: bool = setting(True, "use the plain template even if there is a chat one", flag="--no-chat-template")
    reasoning: str = setting(
        "auto",
        "where a reasoning trace ends: auto (as the model or the text tells), none, or a format such as qwen3",
        metavar="NAME",
    )


@dataclass(frozen=True)
class SamplingOptions(Bounded):
    """How to decode; what is left open is taken from the data and the model."""

    max_tokens: int | None = same_as(
        Sampling,
        "max_tokens",
        default=None,
        help="longest answer in tokens (default: 128, more where the data's references are longer or the model thinks)",
    )
    temperature: float = same_as(Sampling, "temperature")
    top_p: float = same_as(Sampling, "top_p")
    seed: int = same_as(Sampling, "seed")
    stop: tuple[str, ...] = same_as(Sampling, "stop")

    def resolved(self, usual: int) -> Sampling:
        """The sampling, with ``usual`` for the longest answer where none is named."""
        return Sampling(self.max_tokens or usual, self.temperature, self.top_p, self.seed, self.stop)


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


@dataclass(frozen=True)
class EngineOptions(Bounded):
    """What generates, and in which number format. The key of a server: OPENAI_API_KEY."""

    engine: str = setting(
        "auto",
        "vllm, transformers, openai or replay; auto is vllm where installed, else transformers",
        metavar="NAME",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto", "number format; auto: as config.json says, on every engine and device"
    )
    max_model_len: int | None = setting(
        None, "longest prompt with answer in tokens, if not the model's", metavar="N", low=1
    )
    base: str = setting(
        "", "base model of a LoRA adapter, if not the one that its adapter_config.json names", metavar="PATH"
    )
    trust_remote_code: bool = setting(False, "run Python code that the checkpoint brings")
    engine_option: Mapping[str, Any] = setting(
        {}, "arguments of vLLM (tensor_parallel_size=2) or of transformers (device_map=auto)", metavar="KEY=VALUE,..."
    )
    deterministic: bool = setting(
        False, "one prompt at a time: no answer depends on which prompts are worked on together (slow)"
    )
    online: bool = setting(False, "allow the network: --model may be a hub id")
    revision: str = setting("", "branch, tag or commit of a hub id, with --online", metavar="REV")
    base_url: str = setting("", "openai: the server, such as http://127.0.0.1:8000/v1", metavar="URL")
    max_in_flight: int = setting(32, "openai: most requests at once", metavar="N", low=1, high=1000)
    deadline: float = setting(
        120.0, "openai: seconds for one answer, retries included", metavar="S", low=0.1, high=86400
    )
    answers: Path | None = setting(None, "replay: answers to score, as telbench score takes them", metavar="FILE")
    shown_order: Literal["data", "seed"] = setting(
        "data",
        "what letters in a file of answers mean: the order of the data (or the file's own 'shown_choices'), or that of "
        "telbench's prompts with --seed",
    )
    missing_cap: float = setting(0.05, "largest share of items that a file may leave without an answer", low=0, high=1)


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
    sampling: SamplingOptions = group(SamplingOptions, "generation")
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

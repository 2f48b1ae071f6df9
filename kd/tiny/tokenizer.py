"""A byte-level BPE tokenizer trained on the spot, for checkpoints that are made from nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from ...harness.prompts.build import PromptSettings, message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from ...harness.datasets.items import DataSet

BOS, EOS, PAD = "<|begin|>", "<|end|>", "<|pad|>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
SPECIAL = (BOS, EOS, PAD, USER, ASSISTANT)
Pieces = Literal["words", "digits"]
# Roles other than these two have no marker token, and a made-up one would silently become ordinary text.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '" + USER + "' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '" + ASSISTANT + "' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('roles are user and assistant, not ' + message['role']) }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)


def tokenizer_texts(dataset: DataSet, prompts: PromptSettings) -> list[str]:
    """What the tokenizer learns from: every message as it will be asked, its answer, and each context once."""
    texts = []
    for item in dataset.items:
        texts.append(message(item, prompts, None))
        texts.extend(item.gold_references[:1])
    return texts + list(dict.fromkeys(item.context for item in dataset.items if item.context))


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int, window: int, pieces: Pieces = "words"
) -> PreTrainedTokenizerFast:
    """Learn merges from ``texts`` and wrap them for transformers and vLLM, with a chat template.

    Every byte is in the vocabulary, so that any Unicode text survives encoding and decoding. ``vocabulary_size``
    counts the special tokens; texts too few for so many merges give a smaller vocabulary. ``window`` is the longest
    sequence (tokens) that the model will be made for. ``pieces``: tokens never reach across words; with ``digits``,
    each digit and each punctuation mark stands alone too. The same texts in the same order give the same tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    single = (pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation())
    core.pre_tokenizer = whole if pieces == "words" else pre_tokenizers.Sequence([*single, whole])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, core.token_to_id(BOS))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[USER, ASSISTANT],
        model_max_length=window,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer

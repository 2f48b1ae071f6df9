"""A Llama made by hand that says the same tokens after every prompt: which one follows is written into its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from .checkpoints import WINDOW, save_tokenizer

HEAD = 32


def save_chain(
    folder: Path, says: Sequence[str], *, specials: Sequence[str] = (), words: Sequence[str] = (), turn: str = ""
) -> None:
    """Write tokenizer and weights of a model that answers with the tokens ``says`` and then ends.

    ``specials`` and ``words`` are added to the vocabulary, special and plain. Each token has one successor, and may
    have another one after the token ``turn``.
    """
    from transformers import AutoTokenizer

    save_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(specials)}, replace_extra_special_tokens=False)
    tokenizer.add_tokens(list(words))
    tokenizer.save_pretrained(folder)
    ids = [tokenizer.convert_tokens_to_ids(token) for token in ("<|assistant|>", *says, "</s>")]
    assert None not in ids
    successors: tuple[dict[int, int], dict[int, int]] = ({}, {})
    turned = False
    for token, successor in pairwise(ids):
        turned = turned or token == tokenizer.convert_tokens_to_ids(turn)
        assert successors[turned].setdefault(token, successor) == successor
    first, second = successors
    first |= {token: successor for token, successor in second.items() if token not in first}
    _save_model(folder, len(tokenizer), first, second, tokenizer.convert_tokens_to_ids(turn) if turn else 0)


def _save_model(folder: Path, vocabulary: int, first: Mapping[int, int], second: Mapping[int, int], seen: int) -> None:
    """Each token is a direction of its own; one more tells that the token ``seen`` stands before.

    Attention is the mean over all tokens so far, as queries and keys are 0.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = -(-(vocabulary + 1) // HEAD) * HEAD
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=size,
        intermediate_size=HEAD,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=HEAD,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    weights = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    for name in weights:
        if "norm" in name:
            weights[name] += 1.0
    weights["model.embed_tokens.weight"][:, :vocabulary] = torch.eye(vocabulary)
    for token, successor in first.items():
        weights["lm_head.weight"][successor, token] = 10.0
    if second:
        # A direction alone has length 1, and its norm brings it to the square root of the size.
        weights["model.layers.0.self_attn.v_proj.weight"][0, seen] = size**-0.5
        weights["model.layers.0.self_attn.o_proj.weight"][vocabulary, 0] = 1.0
        for token, successor in second.items():
            if first[token] != successor:
                # The mean lies between 1 in 10 and 1 in 500: enough to win here, too little after any other token.
                weights["lm_head.weight"][successor, token] = 9.9
                weights["lm_head.weight"][successor, vocabulary] = 60.0
    model.load_state_dict(weights)
    model.save_pretrained(folder)

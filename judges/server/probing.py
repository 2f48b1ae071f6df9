"""What one tiny question finds out about the judge behind a server, and what is remembered of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from telbench.errors import EngineError, InputError

from ..chat import ChatReply, ChatRequest
from .capabilities import (
    PROBE_QUESTION,
    PROBE_TOKENS,
    Capabilities,
    plainer,
    probe_body,
    read_capabilities,
    refuses_parameters,
    shown_by,
    tells_nothing,
)
from .client import ChatClient
from .options import ServedOptions
from .settings import VLLM_NEUTRAL, ServedModel

# Tokens of the probe's reply whose log-probabilities are kept, and how far they may move (natural logarithms) before
# other weights are likelier than another batch: on average, and at one token.
CANARY_TOKENS, MEAN_MOVE, LARGEST_MOVE = 64, 0.1, 1.0
# Bytes of a prompt that a token holds at least, in English about the field, and what a chat template adds.
BYTES_A_TOKEN, TEMPLATE_TOKENS = 3, 100
# A reply with less room holds no verdict with reasons: then the server's own limit, the window, is the better one.
LEAST_REPLY = 256
_TOO_LONG = re.compile(r"context (?:length|window|size)|too (?:large|long)|max_model_len", re.IGNORECASE)

Canary = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a judge: what its server lists, takes, and says of the state of its model.

    ``canary``: tokens of the probe's reply with log-probabilities. ``sure``: the reply was whole, so that what it does
    not show is not there.
    """

    model: ServedModel
    capabilities: Capabilities
    system_fingerprint: str | None = None
    canary: Canary = ()
    sure: bool = True

    def record(self) -> dict[str, Any]:
        """As it is remembered."""
        return asdict(self)


def read_probed(record: Mapping[str, Any] | None) -> Probed | None:
    """What a remembered record says; None where it holds nothing valid."""
    capabilities = None if record is None else read_capabilities(record.get("capabilities"))
    if record is None or capabilities is None:
        return None
    try:
        canary = tuple((str(token), float(chance)) for token, chance in record["canary"])
        return Probed(
            ServedModel(**record["model"]), capabilities, record["system_fingerprint"], canary, record["sure"] is True
        )
    except (KeyError, TypeError, ValueError):
        return None


def probe(client: ChatClient, options: ServedOptions) -> Probed:
    """Ask the tiny question, plainer and plainer until the server takes it, and longer where its reply was cut.

    Raises `InputError` where it cannot be reached, or answers not even the plainest.
    """
    model, tried, tokens = listed_model(client), Capabilities(), PROBE_TOKENS
    while True:
        reply = probe_once(client, model, tried, options, tokens)
        if reply.error is not None:
            told = reply.error if refuses_parameters(reply) else ""
            if own := next((name for name in options.body if re.search(rf"\b{re.escape(name)}\b", told)), None):
                # The user's own words are not telbench's to leave out.
                raise InputError(f"{client.settings.base_url} refuses body.{own}: {told}; leave that option out")
            less = plainer(tried, told) if told else None
            if less is None:
                raise unanswered(client, reply)
            tried = less
        elif tells_nothing(reply) and tokens < options.reply_tokens:
            tokens = min(4 * tokens, options.reply_tokens)
        else:
            return Probed(
                model, shown_by(reply, tried), reply.system_fingerprint, canary_of(reply), not tells_nothing(reply)
            )


def probe_once(
    client: ChatClient, model: ServedModel, tried: Capabilities, options: ServedOptions, tokens: int = PROBE_TOKENS
) -> ChatReply:
    """The reply to the tiny question, asked so. Raises `InputError` where no question can be asked."""
    request = ChatRequest("probe", ({"role": "user", "content": PROBE_QUESTION},), probe_body(tokens))
    try:
        (reply,) = client.ask([adapted(request, model, tried, options)])
    except EngineError as error:
        raise InputError(str(error)) from None
    return reply


def adapted(request: ChatRequest, model: ServedModel, can: Capabilities, options: ServedOptions) -> ChatRequest:
    """A judge's request as its server takes it, with the user's own fields, and a reply that fits the window."""
    neutral = VLLM_NEUTRAL if model.owned_by == "vllm" else {}
    body = {**can.body(request.body), **neutral, **options.body}
    if model.window and can.limit in body:
        asked = sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
        room = model.window - asked // BYTES_A_TOKEN - TEMPLATE_TOKENS
        if room < LEAST_REPLY:
            del body[can.limit]
        else:
            body[can.limit] = min(body[can.limit], room)
    return replace(request, body=body)


def unlimited(request: ChatRequest, can: Capabilities) -> ChatRequest:
    """The request without a limit of its reply: what is left of the window is one."""
    return replace(request, body={name: value for name, value in request.body.items() if name != can.limit})


def does_not_fit(reply: ChatReply) -> bool:
    """Whether the server refused prompt and reply as too long together."""
    return reply.status in {400, 413, 422} and bool(_TOO_LONG.search(reply.error or ""))


def unanswered(client: ChatClient, reply: ChatReply) -> InputError:
    """The one line for a server that does not answer the probe."""
    settings = client.settings
    return InputError(
        f"the judge '{settings.model}' at {settings.base_url} does not answer even a tiny question: {reply.error}; "
        "mend the server, or choose another --judge"
    )


def listed_model(client: ChatClient) -> ServedModel:
    """What the server lists of the model, or its name alone."""
    listed = client.served_model()
    return ServedModel(client.settings.model) if listed is None else listed


def canary_of(reply: ChatReply) -> Canary:
    """The first tokens of a reply with their log-probabilities; none where it tells none."""
    content = (reply.logprobs or {}).get("content")
    found: list[tuple[str, float]] = []
    for entry in content[:CANARY_TOKENS] if isinstance(content, list) else ():
        chance = entry.get("logprob") if isinstance(entry, Mapping) else None
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not isinstance(entry.get("token"), str):
            return ()
        found.append((entry["token"], float(chance)))
    return tuple(found)


def weights_moved(before: Canary, now: Canary) -> str | None:
    """What tells that the same question met other weights; None where nothing does, or nothing is known.

    Log-probabilities are compared up to the first token that differs: behind it the texts are others.

    >>> weights_moved((("{", -0.1), ("a", -2.0)), (("{", -0.12), ("b", -0.9)))
    >>> weights_moved((("{", -0.1), ("a", -2.0)), (("{", -2.1), ("a", -2.0)))
    'the log-probabilities of its reply moved by 1.00 on average, by up to 2.00'
    """
    if not before or not now:
        return None
    moves = []
    for (token, chance), (other, later) in zip(before, now, strict=False):
        if token != other:
            break
        moves.append(abs(chance - later))
    if not moves:
        return f"its reply begins with {now[0][0]!r} instead of {before[0][0]!r}"
    mean, largest = sum(moves) / len(moves), max(moves)
    if mean <= MEAN_MOVE and largest <= LARGEST_MOVE:
        return None
    return f"the log-probabilities of its reply moved by {mean:.2f} on average, by up to {largest:.2f}"

"""The judge behind an OpenAI-compatible server: ``--judge openai:MODEL@URL``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from telbench.errors import InputError

from ..chat import ChatReply, ChatRequest
from ..contract import JudgeIdentity
from ..panel import Ledger
from ..spec import DEADLINE, JudgeKind, JudgeOptions, JudgeSpec
from .batch import Batches
from .capabilities import PROBE_VERSION, refuses_parameters, shown_by, tells_nothing
from .client import ChatClient
from .options import ServedOptions, served_options
from .probing import (
    Probed,
    adapted,
    canary_of,
    does_not_fit,
    listed_model,
    probe,
    probe_once,
    read_probed,
    unanswered,
    unlimited,
    weights_moved,
)
from .settings import FORM, ServedModel, ServerSettings, model_and_server

DEFAULT_OPTIONS = ServedOptions()
# An attempt that stalls is cut after so many seconds, or a third of the deadline where that is longer: far above what a
# verdict takes, and two thirds of the time are left for another attempt.
STALL_SECONDS = 60.0


class ServedJudge:
    """A judge of the `Judge` protocol; made by `served_judge`.

    ``notes`` are lines for the user about what was found when it was asked. ``batches``: all but the tiny question goes
    through the server's Batch API.
    """

    def __init__(
        self,
        client: ChatClient,
        probed: Probed,
        options: ServedOptions,
        memory: Ledger | None = None,
        batches: Batches | None = None,
    ) -> None:
        self.client = client
        self.batches = batches
        self.capabilities = probed.capabilities
        self.identity = _served_identity(client.settings, probed, options, batch=batches is not None)
        self.notes: list[str] = []
        self._probed, self._options = probed, options
        # Without a memory the capabilities were found a moment ago.
        self._memory = memory

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request, in any order, as each finishes; see `ChatClient.ask`.

        What was remembered of the server is checked first, by one tiny question a process; `InputError` where it is
        no longer true, after which the same command finds out anew. A request that is refused as too long together
        with its reply is asked once more with whatever room the server has.
        """
        if self._memory is not None:
            self._confirm(self._memory)
            self._memory = None
        asked: dict[str, ChatRequest] = {}
        long: list[ChatRequest] = []

        def sent() -> Iterator[ChatRequest]:
            for request in requests:
                own = adapted(request, self._probed.model, self.capabilities, self._options)
                asked[own.key] = own
                yield own

        asking = self.batches or self.client
        for reply in asking.ask(sent()):
            own = asked.pop(reply.key)
            if reply.error is not None and does_not_fit(reply) and self.capabilities.limit in own.body:
                long.append(unlimited(own, self.capabilities))
            else:
                yield reply
        if long:
            yield from asking.ask(long)

    def close(self) -> None:
        """Cancel whatever is open; batches go on at the server."""
        self.client.close()
        if self.batches is not None:
            self.batches.close()

    def _confirm(self, memory: Ledger) -> None:
        settings, known = self.client.settings, self._probed
        found, change = listed_model(self.client), None
        if found != known.model:
            change = f"has {_behind(found)} behind '{settings.model}' now, and had {_behind(known.model)}"
        else:
            reply = probe_once(self.client, found, self.capabilities, self._options)
            if reply.error is not None and not refuses_parameters(reply):
                raise unanswered(self.client, reply)
            if reply.error is not None:
                change = f"no longer takes what it took ({reply.error})"
            elif self.capabilities.enforced and not (
                tells_nothing(reply) or shown_by(reply, self.capabilities).enforced
            ):
                change = "no longer holds replies to a JSON schema"
            if change is None:
                self._look_for_other_weights(reply)
        if change is not None:
            memory.put(_memory_key(settings, self._options), {"capabilities": None})
            raise InputError(f"the judge at {settings.base_url} {change}: repeat the command, which judges anew")

    def _look_for_other_weights(self, reply: ChatReply) -> None:
        """Warn: a host may change the weights and list the same name. Scores of before and after are then of two."""
        before, now = self._probed.system_fingerprint, reply.system_fingerprint
        moved, told = weights_moved(self._probed.canary, canary_of(reply)), canary_of(reply) and self._probed.canary
        # A host also calls its state otherwise when it changes machines: log-probabilities that stayed say more.
        if moved is None and not told and before != now:
            moved = f"the server calls its state {now}, and called it {before}"
        if moved is not None:
            self.notes.append(
                f"WARNING: the weights behind the judge {self.identity.name} may have changed: {moved}; judge anew "
                "with --fresh before you compare with older runs"
            )


def served_judge(
    model: str,
    base_url: str,
    *,
    memory: Ledger | None = None,
    max_in_flight: int = 32,
    deadline: float = DEADLINE,
    attempts: int = 5,
    backoff: float = 0.5,
    jitter_seed: int | None = None,
    options: ServedOptions = DEFAULT_OPTIONS,
    fresh: bool = False,
    batch: bool = False,
) -> ServedJudge:
    """The judge ``model`` at ``base_url``; the other settings are those of `ServerSettings`.

    What the server can do is found by a tiny question, or taken from ``memory``, which keeps it: with a memory on disk
    no server is needed to look up what is in a panel's ledger. What a probe that was cut did not show is looked for
    again, and ``fresh`` looks for all of it. ``batch``: it is asked through the Batch API, as the same judge. The key
    comes from the environment variable that ``options`` names.

    Raises `InputError` for settings that cannot be, a missing package ``openai``, and a server that cannot be reached,
    does not know the model or refuses the key.
    """
    settings = ServerSettings(
        base_url.rstrip("/"),
        model,
        max_in_flight,
        deadline,
        attempts,
        backoff,
        jitter_seed,
        options.key_variable,
        options.key_header,
        options.headers,
        options.query,
        options.attempt_seconds,
        max(STALL_SECONDS, deadline / 3) if options.attempt_seconds is None else None,
    )
    client, key = ChatClient(settings), _memory_key(settings, options)
    batches = Batches(settings) if batch else None
    remembered = None if memory is None or fresh else read_probed(memory.get(key))
    if remembered is not None and remembered.sure:
        return ServedJudge(client, remembered, options, memory, batches)
    try:
        probed = probe(client, options)
    except InputError:
        # A finished run can be scored without its server.
        if remembered is None:
            raise
        return ServedJudge(client, remembered, options, memory, batches)
    same = remembered is not None and probed.model == remembered.model
    if remembered is not None and same and (not probed.sure or probed.capabilities == remembered.capabilities):
        # Nothing new: the judge stays the one that it was.
        probed = replace(remembered, sure=probed.sure)
    if memory is not None:
        memory.put(key, {"base_url": settings.base_url, **probed.record()})
    return ServedJudge(client, probed, options, batches=batches)


def refuse_shared_keys(asked: Iterable[tuple[str, str]]) -> None:
    """Raise `InputError` where two hosts would be sent the key of one variable: it is at most one host's.

    ``asked`` are pairs of the variable that holds a key and the URL of the server that gets it.
    """
    hosts: dict[str, str] = {}
    for variable, url in asked:
        host = urlsplit(url).hostname or ""
        if os.environ.get(variable, "").strip() and hosts.setdefault(variable, host) != host:
            raise InputError(
                f"{hosts[variable]} and {host} would both get the key of {variable}: give a judge a variable of its "
                "own, or none (--judge-option key_variable=NAME, or key_variable in its file judge.yaml)"
            )


def keys_sent(identities: Iterable[JudgeIdentity]) -> list[tuple[str, str]]:
    """The variable that holds the key, and the URL, of each judge that is behind a server."""
    facts = [identity.facts for identity in identities]
    return [(each["key_variable"], each["base_url"]) for each in facts if {"key_variable", "base_url"} <= each.keys()]


def _open_served(spec: JudgeSpec, options: JudgeOptions) -> ServedJudge:
    return served_judge(
        spec.model,
        spec.place or "",
        memory=options.memory,
        max_in_flight=options.max_in_flight,
        deadline=options.deadline,
        options=served_options(spec.file, spec.options, options.given),
        fresh=options.fresh,
        batch=options.batch,
    )


OPENAI = JudgeKind("openai", FORM, model_and_server, _open_served, takes_options=True)


def _served_identity(
    settings: ServerSettings, probed: Probed, options: ServedOptions, *, batch: bool = False
) -> JudgeIdentity:
    """By all that is known of what answers: two servers that call their models alike are two judges."""
    model, capabilities = probed.model, probed.capabilities
    level = "enforced" if capabilities.enforced else capabilities.schema
    facts: dict[str, Any] = {
        "base_url": settings.base_url,
        "model": settings.model,
        "root": model.root,
        "owned_by": model.owned_by,
        "max_model_len": model.window,
        **({"weights": dict(model.weights)} if model.weights else {}),
        "system_fingerprint": probed.system_fingerprint,
        **capabilities.facts(),
        "schema": level,
        "schema_bounds": capabilities.schema == "full" and not capabilities.without,
        **options.facts,
    }
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    # Signatures and tables use other signs to keep their parts apart.
    name = re.sub(r"[^\w.-]+", "_", settings.model)
    return JudgeIdentity(
        f"{name}@{fingerprint[:8]}",
        fingerprint,
        capabilities.enforced,
        capabilities.log_probabilities,
        # Where the key is kept, and whether batches are asked, changes no reply.
        {**facts, "key_variable": settings.key_variable, **({"batch": True} if batch else {})},
        options.reply_tokens,
    )


def _behind(found: ServedModel) -> str:
    return f"'{found.root}'" if found.root else "an unnamed model"


def _memory_key(settings: ServerSettings, options: ServedOptions) -> str:
    text = json.dumps([settings.base_url, settings.model, PROBE_VERSION, options.facts], sort_keys=True)
    return f"capabilities-{hashlib.sha256(text.encode()).hexdigest()}"

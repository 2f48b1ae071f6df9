"""The judge behind an OpenAI-compatible server: ``--judge openai:MODEL@URL``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from telbench.errors import EngineError, InputError

from ..chat import ChatReply, ChatRequest
from ..contract import ALTERNATIVES, JudgeIdentity
from ..panel import Ledger
from ..spec import JudgeKind, JudgeOptions, JudgeSpec, without_password
from .capabilities import (
    PROBE_QUESTION,
    Capabilities,
    plainer,
    probe_body,
    read_capabilities,
    refuses_parameters,
    shown_by,
)
from .client import ChatClient
from .settings import VLLM_NEUTRAL, ServedModel, ServerSettings, check_base_url

FORM = "openai:MODEL@URL"


class ServedJudge:
    """A judge of the `Judge` protocol; made by `served_judge`."""

    def __init__(
        self, client: ChatClient, found: ServedModel, capabilities: Capabilities, memory: Ledger | None = None
    ) -> None:
        self.client = client
        self.capabilities = capabilities
        self.identity = _served_identity(client.settings, found, capabilities)
        self._found = found
        # Without a memory the capabilities were found a moment ago.
        self._memory = memory

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request, in any order, as each finishes; see `ChatClient.ask`.

        What was remembered of the server is checked first, by one tiny question a process; `InputError` where it is
        no longer true, after which the same command finds out anew.
        """
        if self._memory is not None:
            self._confirm(self._memory)
            self._memory = None
        neutral = VLLM_NEUTRAL if self._found.owned_by == "vllm" else {}
        yield from self.client.ask(
            ChatRequest(request.key, request.messages, {**self.capabilities.body(request.body), **neutral})
            for request in requests
        )

    def close(self) -> None:
        """Cancel whatever is open."""
        self.client.close()

    def _confirm(self, memory: Ledger) -> None:
        settings = self.client.settings
        found = _listed_model(self.client)
        change = None
        if found != self._found:
            change = f"has {_behind(found)} behind '{settings.model}' now, and had {_behind(self._found)}"
        else:
            reply = _probe(self.client, self.capabilities)
            if reply.error is not None and not refuses_parameters(reply):
                raise _unanswered(self.client, reply)
            if reply.error is not None:
                change = f"no longer takes what it took ({reply.error})"
            elif self.capabilities.enforced and not shown_by(reply, self.capabilities).enforced:
                change = "no longer holds replies to a JSON schema"
        if change is not None:
            memory.put(_memory_key(settings), {"capabilities": None})
            raise InputError(f"the judge at {settings.base_url} {change}: repeat the command, which judges anew")


def served_judge(
    model: str,
    base_url: str,
    *,
    memory: Ledger | None = None,
    max_in_flight: int = 32,
    deadline: float = 120.0,
    attempts: int = 5,
    backoff: float = 0.5,
    jitter_seed: int | None = None,
) -> ServedJudge:
    """The judge ``model`` at ``base_url``; the other settings are those of `ServerSettings`.

    What the server can do is found by a tiny question, or taken from ``memory``, which keeps it: with a memory on disk
    no server is needed to look up what is in a panel's ledger. The key comes from ``OPENAI_API_KEY``.

    Raises `InputError` for settings that cannot be, a missing package ``openai``, and a server that cannot be reached,
    does not know the model or refuses the key.
    """
    url = base_url.rstrip("/")
    settings = ServerSettings(url, model, max_in_flight, deadline, attempts, backoff, jitter_seed)
    client = ChatClient(settings)
    record = None if memory is None else memory.get(_memory_key(settings))
    remembered = None if record is None else read_capabilities(record.get("capabilities"))
    if record is not None and remembered is not None:
        found = ServedModel(model, _text_or_none(record.get("root")), _text_or_none(record.get("owned_by")))
        return ServedJudge(client, found, remembered, memory)
    found = _listed_model(client)
    capabilities = _explore(client)
    if memory is not None:
        facts = {"root": found.root, "owned_by": found.owned_by, "capabilities": capabilities.facts()}
        memory.put(_memory_key(settings), {"base_url": url, "model": model, **facts})
    return ServedJudge(client, found, capabilities)


def model_and_server(text: str) -> tuple[str, str]:
    """Model and base URL of ``MODEL@URL``: the model may hold ``@``, ``/`` and ``:``, the URL no ``@``.

    Raises `InputError` where one is missing or the URL cannot be that of an API; it shows no password.

    >>> model_and_server("org/model:7b@int4@http://127.0.0.1:8000/v1/")
    ('org/model:7b@int4', 'http://127.0.0.1:8000/v1')
    """
    model, at, url = (part.strip() for part in text.rpartition("@"))
    if not at or not url:
        written = f"--judge 'openai:{without_password(text)}'"
        raise InputError(f"{written} names no server: write {FORM}, URL such as http://HOST:8000/v1")
    if "://" in model:
        # Never shown: the part before the @ of a URL is a user and a password.
        raise InputError(
            "--judge openai: the URL holds an @: leave user and password out, a key goes into OPENAI_API_KEY"
        )
    if not model:
        raise InputError(f"--judge 'openai:{text}' names no model: write {FORM}")
    check_base_url(url)
    return model, url.rstrip("/")


def _open_served(spec: JudgeSpec, options: JudgeOptions) -> ServedJudge:
    return served_judge(
        spec.model,
        spec.place or "",
        memory=options.memory,
        max_in_flight=options.max_in_flight,
        deadline=options.deadline,
    )


OPENAI = JudgeKind("openai", FORM, model_and_server, _open_served)


def _explore(client: ChatClient) -> Capabilities:
    tried = Capabilities()
    while True:
        reply = _probe(client, tried)
        if reply.error is None:
            return shown_by(reply, tried)
        less = plainer(tried, reply.error) if refuses_parameters(reply) else None
        if less is None:
            raise _unanswered(client, reply)
        tried = less


def _probe(client: ChatClient, capabilities: Capabilities) -> ChatReply:
    messages = ({"role": "user", "content": PROBE_QUESTION},)
    request = ChatRequest("probe", messages, capabilities.body(probe_body(ALTERNATIVES)))
    try:
        (reply,) = client.ask([request])
    except EngineError as error:
        raise InputError(str(error)) from None
    return reply


def _unanswered(client: ChatClient, reply: ChatReply) -> InputError:
    settings = client.settings
    return InputError(
        f"the judge '{settings.model}' at {settings.base_url} does not answer even a tiny question: {reply.error}; "
        "mend the server, or choose another --judge"
    )


def _served_identity(settings: ServerSettings, found: ServedModel, capabilities: Capabilities) -> JudgeIdentity:
    level = "enforced" if capabilities.enforced else capabilities.schema
    facts: dict[str, Any] = {
        "base_url": settings.base_url,
        "model": settings.model,
        "root": found.root,
        "owned_by": found.owned_by,
        **capabilities.facts(),
        "schema": level,
        "schema_bounds": capabilities.schema == "full",
    }
    text = json.dumps(facts, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return JudgeIdentity(settings.model, fingerprint, capabilities.enforced, capabilities.log_probabilities, facts)


def _listed_model(client: ChatClient) -> ServedModel:
    listed = client.served_model()
    return ServedModel(client.settings.model) if listed is None else listed


def _behind(found: ServedModel) -> str:
    return f"'{found.root}'" if found.root else "an unnamed model"


def _memory_key(settings: ServerSettings) -> str:
    text = json.dumps([settings.base_url, settings.model])
    return f"capabilities-{hashlib.sha256(text.encode()).hexdigest()}"


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None

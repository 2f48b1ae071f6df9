"""How one judge behind a server is reached: ``--judge-option KEY=VALUE``, or a file ``--judge judge.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telbench.config import Bounded, merged, near_name, read_settings, setting, settings_in
from telbench.errors import InputError

from ..contract import MAX_TOKENS
from .settings import KEY_VARIABLE

# What a request to be judged says itself: an option of that name would change what is measured, or be overwritten.
OWN_FIELDS = frozenset(
    {"model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "response_format", "logprobs"}
)
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)
# Requests have honest fields about tokens.
_SECRET_FIELD = re.compile(r"auth|key|secret|password", re.IGNORECASE)


@dataclass(frozen=True)
class ServedOptions(Bounded):
    """What may be said of one judge's server, beside its address and model. It holds no key, only where one stands."""

    key_variable: str = setting(KEY_VARIABLE, "environment variable that holds the key of this judge; none: no key")
    key_header: str = setting("", "header that takes the key, such as api-key (default: Authorization: Bearer KEY)")
    headers: Mapping[str, str] = setting({}, "further headers")
    query: Mapping[str, str] = setting({}, "what follows the address after ?, such as api-version")
    body: Mapping[str, Any] = setting({}, "further fields of every request, such as reasoning_effort")
    reply_tokens: int = setting(MAX_TOKENS, "tokens that a reply may take, thinking included", low=64, high=1_000_000)
    attempt_seconds: float | None = setting(
        None, "seconds for one attempt, of which the deadline may hold several", low=0.1, high=86400
    )

    def __post_init__(self) -> None:
        """Raise `InputError` for a value that cannot be, or a secret that would be written down."""
        super().__post_init__()
        secret = (("headers", self.headers, _SECRET_NAME), ("query", self.query, _SECRET_NAME))
        for what, names, looks in (*secret, ("body", self.body, _SECRET_FIELD)):
            for name in names:
                if looks.search(name):
                    raise InputError(
                        f"{what}.{name} looks like a secret, which would be written to disk: put it into an environment"
                        " variable, and name that by key_variable (and its header by key_header)"
                    )
        if taken := sorted(OWN_FIELDS & self.body.keys()):
            raise InputError(f"body.{taken[0]} is telbench's own: {_INSTEAD.get(taken[0], 'leave it out')}")
        for name in (self.key_header, *self.headers):
            if name and not re.fullmatch(r"[A-Za-z0-9-]+", name):
                raise InputError(f"'{name}' is no name of a header: letters, digits and - only")
        for name, value in self.headers.items():
            if not all(" " <= sign <= "~" for sign in value):
                raise InputError(f"the header {name} holds signs that no header can hold")

    @property
    def facts(self) -> dict[str, Any]:
        """What of it can change a reply, as a judge's identity holds it."""
        told = {"headers": dict(self.headers), "query": dict(self.query), "body": dict(self.body)}
        return {**{name: value for name, value in told.items() if value}, "reply_tokens": self.reply_tokens}


_INSTEAD = {
    "max_tokens": "say reply_tokens=N",
    "max_completion_tokens": "say reply_tokens=N",
    "model": "write it before the @ of --judge",
}


def options_given(texts: Sequence[str]) -> dict[str, Any]:
    """The options of ``KEY=VALUE``, each text one; a key with a point is one of a mapping, and values are JSON or text.

    Raises `InputError` for one without ``=``, an unknown key, or a key that is given twice.

    >>> options_given(["body.reasoning_effort=low", 'body.chat_template_kwargs={"thinking": true}'])
    {'body': {'reasoning_effort': 'low', 'chat_template_kwargs': {'thinking': True}}}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        key, _, inner = name.strip().partition(".")
        if not equals or not key:
            raise InputError(f"--judge-option {text}: write KEY=VALUE, such as body.reasoning_effort=low")
        if key not in settings_in(ServedOptions):
            known = settings_in(ServedOptions)
            hint = f"a field of the request is body.{key}" if not inner else near_name(key, known)
            near = near_name(key, known)
            raise InputError(f"--judge-option {name}: unknown key; {near if near.startswith('did') else hint}")
        try:
            read: Any = json.loads(value)
        except ValueError:
            read = value.strip()
        if key in {"headers", "query", "key_variable", "key_header"} and not isinstance(read, dict):
            # A version such as 2024 is a text there.
            read = value.strip()
        place = found.setdefault(key, {}) if inner else found
        if (inner or key) in place:
            raise InputError(f"--judge-option {name} is given twice: once is enough")
        place[inner or key] = read
    return found


def served_options(file: str, of_file: Mapping[str, Any], given: Mapping[str, Any]) -> ServedOptions:
    """The options of a judge: those of its YAML file, and over them those of the command line.

    Raises `InputError` for what cannot be; it names the file for what stands in it.
    """
    if of_file:
        read_settings(ServedOptions, of_file, file)
    return read_settings(ServedOptions, merged(of_file, given), "--judge-option")

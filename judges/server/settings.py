"""Which server, which model, how patiently; and the connection to it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from telbench.errors import InputError, missing_extra

from ..chat import MalformedAnswerError, read_object
from ..spec import without_password
from .failures import RequestFailure, failure_of
from .http import Connection, proxy_of
from .pacing import full_jitter

FORM = "openai:MODEL@URL"
KEY_VARIABLE = "OPENAI_API_KEY"
# Servers on one's own machine ask for no key, the package for some.
NO_KEY = "none"
FIRST_CONTACT_TRIES = 3
# What the package would tell every server about this machine.
MACHINE_HEADERS = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
# A vLLM server takes what a request leaves open from the checkpoint's generation_config.json; a repetition penalty
# there would change even greedy answers. These values are vLLM's "off".
VLLM_NEUTRAL = {"repetition_penalty": 1.0, "top_k": 0, "min_p": 0.0}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to ask, what, and how patiently. Raises `InputError` where a value cannot be.

    ``deadline``: seconds for one request with all its repetitions. ``attempts``: how often a request is sent that
    the server fails at, ``attempt_seconds`` how long one of them may take. ``stall_seconds``: how long the first of
    them may take where others are answered sooner (None: until the deadline). ``backoff``: seconds, the first interval
    of repetition. ``headers`` and ``query`` go with every request. The API key is not a setting: it is read from the
    environment (``key_variable``), sent in ``key_header`` (none: as a bearer token) to this server alone, and kept out
    of every record.
    """

    base_url: str
    model: str
    max_in_flight: int = 32
    deadline: float = 120.0
    attempts: int = 5
    backoff: float = 0.5
    jitter_seed: int | None = None
    key_variable: str = KEY_VARIABLE
    key_header: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    attempt_seconds: float | None = None
    stall_seconds: float | None = None

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if not self.model:
            raise InputError("no model name: --model says what to ask the server for")
        if not 1 <= self.max_in_flight <= 1000:
            raise InputError(f"{self.max_in_flight} requests in flight: give a number from 1 to 1000")
        if not 0.0 < self.deadline < float("inf"):
            raise InputError(f"a deadline of {self.deadline} s: give a positive number of seconds")
        if self.attempts < 1:
            raise InputError(f"{self.attempts} attempts: give at least 1")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the server lists it: its name, what is behind the name (a path, a snapshot), the server's kind.

    ``window``: tokens of prompt and reply together. ``weights``: what llama.cpp tells of them (size, parameters).
    """

    id: str
    root: str | None = None
    owned_by: str | None = None
    window: int | None = None
    weights: Mapping[str, Any] = field(default_factory=dict)


def check_base_url(url: str | None) -> None:
    """Raise `InputError` unless it is the address of an API: http or https, a host, no password, no query."""
    if not url:
        raise InputError("no server given: --base-url says where it is, such as http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InputError("the base URL is no URL: it looks like http://127.0.0.1:8000/v1") from None
    if parts.username is not None or parts.password is not None:
        raise InputError(f"the base URL holds a user name or password: leave it out, a key goes into {KEY_VARIABLE}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"the base URL '{url}' must start with http:// or https:// and name a host")
    if parts.query or parts.fragment:
        raise InputError(
            f"the base URL must end with its path (no ? and no #): a key goes into {KEY_VARIABLE}, and of a judge's URL"
            " what follows the ? into --judge-option query.NAME=VALUE"
        )


def model_and_server(text: str, asked: str = "--judge") -> tuple[str, str]:
    """Model and base URL of ``MODEL@URL``: the model may hold ``@``, ``/`` and ``:``, the URL no ``@``.

    Raises `InputError`, which names what ``asked`` for it, where one is missing or the URL cannot be that of an API;
    it shows no password.

    >>> model_and_server("org/model:7b@int4@http://127.0.0.1:8000/v1/")
    ('org/model:7b@int4', 'http://127.0.0.1:8000/v1')
    """
    model, at, url = (part.strip() for part in text.rpartition("@"))
    if not at or not url:
        written = f"{asked} 'openai:{without_password(text)}'"
        raise InputError(f"{written} names no server: write {FORM}, URL such as http://HOST:8000/v1")
    if "://" in model:
        # Never shown: the part before the @ of a URL is a user and a password.
        raise InputError(
            f"{asked} openai: the URL holds an @: leave user and password out, a key goes into OPENAI_API_KEY"
        )
    if not model:
        raise InputError(f"{asked} 'openai:{text}' names no model: write {FORM}")
    check_base_url(url)
    return model, url.rstrip("/")


def environment_key(variable: str = KEY_VARIABLE) -> str:
    """The API key in a variable, or a placeholder where none is set; the variable "none" never is.

    Raises `InputError` for a key that no header can hold.
    """
    key = "" if variable == NO_KEY else os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise InputError(f"{variable} holds characters that no key has: set it again, without spaces or quotes")
    return key or NO_KEY


class Server:
    """A server as it was found: settings, key, and after `contact` the models that it lists."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.key = environment_key(settings.key_variable)
        self._models: tuple[ServedModel, ...] | None = None

    @property
    def url(self) -> str:
        """The base URL without a slash at its end."""
        return self.settings.base_url.rstrip("/")

    @property
    def secret(self) -> str:
        """What no message may hold; empty where no key is set."""
        return "" if self.key == NO_KEY else self.key

    def connect(self) -> Connection:
        """A connection that repeats nothing by itself. Raises `InputError` if the package ``openai`` is missing."""
        openai, options = _package(), self._options(self.settings.deadline)
        if self.settings.key_header:
            # The package's client takes its own header off where it follows to another host, and no other.
            options["http_client"] = openai.DefaultAsyncHttpxClient(follow_redirects=False)
        return Connection(openai.AsyncOpenAI(**options))

    @property
    def left_out(self) -> dict[str, Any]:
        """Headers that each request leaves out: the package's own for a key, where the key has another one."""
        return {"Authorization": _package().Omit()} if self.settings.key_header else {}

    def client(self, seconds: float | None = None) -> Any:
        """A client of the package that waits for an answer and repeats nothing by itself; the caller closes it.

        ``seconds`` is how long one call may take (None: the deadline). Raises `InputError` if the package is missing.
        """
        openai, options = _package(), self._options(seconds or self.settings.deadline)
        if self.settings.key_header:
            options["http_client"] = openai.DefaultHttpxClient(follow_redirects=False)
        return openai.OpenAI(**options)

    def contact(self) -> tuple[ServedModel, ...]:
        """The models that the server lists, asked for once; none where it lists none.

        Raises `InputError` if there is no connection. Everything else is for the completions to find out: a key may
        be good for completions only.
        """
        if self._models is None:
            self._models = self._list_models()
        return self._models

    def served_model(self) -> ServedModel | None:
        """The list's entry for the settings' model."""
        return next((model for model in self.contact() if model.id == self.settings.model), None)

    def verdict(self, failure: RequestFailure) -> InputError:
        """The one line for a failure that every request would meet."""
        what, variable = f"{self.url} answered with {failure.reason}", self.settings.key_variable
        if failure.about_money:
            return InputError(f"{what}: the account behind {variable} has nothing left; what is finished is kept")
        if failure.status in {401, 403}:
            key = "holds a key that the server does not accept for this" if self.secret else "is not set"
            return InputError(f"{what}: {variable} {key}; set the server's key there")
        names = [model.id for model in self._models or ()]
        if failure.status == 404 and names and self.settings.model not in names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            return InputError(f"{self.url} has no model '{self.settings.model}' (status 404): it offers {shown}")
        advice = f"check the model name '{self.settings.model}' and the base URL, which usually ends in /v1"
        return InputError(f"{what}: {advice}")

    def _options(self, seconds: float) -> dict[str, Any]:
        openai, header = _package(), self.settings.key_header
        headers: dict[str, Any] = {f"X-Stainless-{name}": openai.Omit() for name in MACHINE_HEADERS}
        if header:
            headers |= {"Authorization": openai.Omit(), header: self.key}
        return {
            "base_url": self.settings.base_url,
            "api_key": self.key,
            "max_retries": 0,
            "timeout": openai.Timeout(seconds, connect=min(10.0, seconds / 2)),
            "default_headers": {**headers, **self.settings.headers},
            "default_query": dict(self.settings.query),
        }

    def _list_models(self) -> tuple[ServedModel, ...]:
        openai = _package()
        jitter = random.Random(self.settings.jitter_seed)
        failure = None
        left_out = self.left_out
        with self.client(min(10.0, self.settings.deadline)) as api:
            for attempt in range(FIRST_CONTACT_TRIES):
                if attempt:
                    time.sleep(full_jitter(attempt, self.settings.backoff, self.settings.deadline, jitter))
                try:
                    return _read_models(api.models.with_raw_response.list(extra_headers=left_out).content)
                except MalformedAnswerError:
                    return ()
                except (openai.APIError, ValueError) as error:
                    failure = failure_of(error, self.secret)
                    if failure is None or failure.kind != "unreachable":
                        return ()
        reason = failure.reason if failure else "no connection"
        if proxy := proxy_of(self.url):
            raise InputError(
                f"{self.url} cannot be reached through the proxy {proxy}: {reason}; mend or unset the proxy"
            )
        raise InputError(f"{self.url} cannot be reached: {reason}; is the server running, are host and port right?")


def _read_models(body: bytes) -> tuple[ServedModel, ...]:
    entries = read_object(body).get("data")
    models = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            root, owner, window, weights = (entry.get(name) for name in ("root", "owned_by", "max_model_len", "meta"))
            models.append(
                ServedModel(
                    entry["id"],
                    root if isinstance(root, str) else None,
                    owner if isinstance(owner, str) else None,
                    window if isinstance(window, int) and window > 0 else None,
                    {name: value for name, value in weights.items() if isinstance(value, int | float | str)}
                    if isinstance(weights, dict)
                    else {},
                )
            )
    return tuple(models)


def _package() -> Any:
    try:
        import openai
    except ImportError:
        raise missing_extra("openai", "judge", "asking an OpenAI-compatible server") from None
    return openai

"""Fill a run's journal: what is there is kept, what the cache knows is copied, the rest is generated."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..judges.errors import EngineError, InputError
from .engines.base import Completion, Continuation, Engine, EngineInfo, Request
from .identity import cache_folder
from .journal import RecordStore
from .plan import Plan
from .reporter import Reporter


@dataclass(frozen=True)
class Generated:
    """How the journal was filled: counts of prompts, seconds by phase, and the engine as it really ran."""

    resumed: int
    cached: int
    generated: int
    load_seconds: float
    generate_seconds: float
    info: EngineInfo


def fill_journal(plan: Plan, store: RecordStore, reporter: Reporter) -> Generated:
    """Complete every prompt of the plan once; an interruption keeps all that was finished.

    Raises:
        EngineError: when the engine dies; InputError: when it cannot start or the disk is full.
    """
    wanted = {prompt.request.key: prompt.request for prompt in plan.prompts if prompt.problem is None}
    options = {each.key: each for group in plan.continuations.values() for each in group}
    total = len(wanted) + len(options)
    missing = [key for key in (*wanted, *options) if not _done(store.get(key))]
    resumed = total - len(missing)
    if resumed:
        reporter.note(f"{resumed} of {total} prompts are done already")
    cached = _copy_from_cache(plan, store, missing)
    if cached:
        reporter.note(f"{cached} answers come from the generation cache (same weights, prompts and sampling)")
        missing = [key for key in missing if not _done(store.get(key))]
    if not missing:
        return Generated(resumed, cached, 0, 0.0, 0.0, plan.engine_info)
    requests = [wanted[key] for key in missing if key in wanted]
    continuations = [options[key] for key in missing if key in options]
    if plan.engine.local:
        reporter.note(f"loading {plan.engine.name} (imports and weights: usually 10 to 60 seconds)")
    started = time.perf_counter()
    engine = plan.engine.open(plan.engine_settings)
    loaded = time.perf_counter()
    generated: list[str] = []
    try:
        with contextlib.closing(engine):
            _generate(plan, engine, requests, store, reporter, generated)
            _score_options(engine, continuations, store, reporter, generated)
    finally:
        _copy_to_cache(plan, store, generated, reporter)
    done = time.perf_counter()
    return Generated(resumed, cached, len(generated), loaded - started, done - loaded, engine.info)


def _generate(
    plan: Plan, engine: Engine, requests: list[Request], store: RecordStore, reporter: Reporter, generated: list[str]
) -> None:
    if not requests:
        return
    failed, tokens, started = 0, 0, time.perf_counter()
    first_error = ""
    with reporter.progress(f"generating with {engine.info.name}", len(requests)) as meter:
        for completion in _guarded(engine.generate(requests, plan.sampling), engine.info.name):
            store.put(completion.key, _record(completion))
            generated.append(completion.key)
            tokens += completion.completion_tokens
            if completion.finish_reason == "error":
                failed += 1
                first_error = first_error or (completion.error or "no reason given")
            rate = tokens / max(1e-9, time.perf_counter() - started)
            meter.advance(1, f"{rate:,.0f} tok/s" + (f", {failed} failed" if failed else ""))
    if failed == len(requests):
        raise EngineError(f"none of {failed} prompts was answered: {first_error}")
    if failed:
        reporter.note(f"{failed} of {len(requests)} prompts failed (first: {first_error}); run again to retry them")


def _score_options(
    engine: Engine, continuations: list[Continuation], store: RecordStore, reporter: Reporter, generated: list[str]
) -> None:
    if not continuations:
        return
    with reporter.progress("option likelihoods", len(continuations)) as meter:
        for key, value in _guarded(engine.log_likelihoods(continuations), engine.info.name):
            store.put(key, {"log_likelihood": value})
            generated.append(key)
            meter.advance()


def _guarded(results: Iterable[Any], name: str) -> Iterator[Any]:
    """Pass results on; what an engine did not foresee becomes an `EngineError` with its type and message."""
    try:
        yield from results
    except (EngineError, InputError, GeneratorExit):
        raise
    except Exception as error:
        raise EngineError(f"the {name} engine failed: {type(error).__name__}: {error}") from error


def _record(completion: Completion) -> dict[str, Any]:
    record: dict[str, Any] = {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }
    if completion.error:
        record["error"] = completion.error
    return record


def _done(record: dict[str, Any] | None) -> bool:
    return record is not None and record.get("finish_reason") != "error"


@contextlib.contextmanager
def _cache(plan: Plan) -> Iterator[RecordStore | None]:
    """The shared store of this generation identity, held alone; None where caching is off or impossible."""
    if not plan.settings.cache or plan.generation_id is None:
        yield None
        return
    folder = cache_folder() / "generations"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{plan.generation_id}.lock").open("w")
    except OSError:
        yield None
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with RecordStore(folder / f"{plan.generation_id}.jsonl") as store:
            yield store


def _copy_from_cache(plan: Plan, store: RecordStore, keys: list[str]) -> int:
    if plan.settings.fresh:
        return 0
    copied = 0
    with _cache(plan) as cache:
        for key in keys if cache is not None else ():
            record = cache.get(key) if cache is not None else None
            if record is not None:
                store.put(key, {name: value for name, value in record.items() if name != "key"})
                copied += 1
    return copied


def _copy_to_cache(plan: Plan, store: RecordStore, keys: list[str], reporter: Reporter) -> None:
    try:
        with _cache(plan) as cache:
            for key in keys if cache is not None else ():
                record = store.get(key)
                if cache is not None and record is not None and _done(record):
                    cache.put(key, {name: value for name, value in record.items() if name != "key"})
    except InputError as error:
        # The answers are safe in the journal; a cache that takes no more only costs time later.
        reporter.note(f"the generation cache was not written: {error}")

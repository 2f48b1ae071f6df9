"""Fill a run's journal: what is there is kept, what the cache knows is copied, the rest is generated."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

from telbench.errors import EngineError, InputError, TelbenchError

from ..cli.terminal import Reporter
from ..engines.contract import Completion, Continuation, Engine, EngineInfo
from ..storage import RecordStore, shared_store
from .folder import JOURNAL
from .plan import Plan
from .sampled import Draw, draws_of, generated

# Answers that are there already are handed on so many at a time.
_PART = 1_000
# The journal's record of the engine as it really ran; all other keys are hashes of prompts.
ENGINE_KEY = "engine"


@dataclass(frozen=True)
class Stopped:
    """Places of the items that were asked, in the order of the data, and what the header says of it."""

    places: tuple[int, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Generated:
    """How the journal was filled: counts of prompts, seconds by phase, and the engine as it really ran.

    ``stopped``: what was settled before all items were asked, as the header tells it, with the items that were.
    """

    resumed: int
    cached: int
    generated: int
    load_seconds: float
    generate_seconds: float
    info: EngineInfo
    stopped: Stopped | None = None


# Completes the prompts of a plan in its journal.
Fill = Callable[[Plan, RecordStore, Reporter], Generated]


def fill_journal(plan: Plan, store: RecordStore, reporter: Reporter) -> Generated:
    """Complete every prompt of the plan once; an interruption keeps all that was finished.

    Raises:
        EngineError: when the engine dies; InputError: when it cannot start or the disk is full.
    """
    if store.torn:
        reporter.note(f"repaired {JOURNAL}: a half-written last line ({store.torn} bytes) was cut off")
    if store.garbled:
        reporter.note(f"{JOURNAL}: {store.garbled} unreadable lines are ignored; their answers are made again")
    if plan.engine.answers_by_item and plan.samples == 1:
        return _fill_given(plan, store, reporter)
    asking = [prompt.request for prompt in plan.prompts if prompt.problem is None]
    one = plan.samples == 1
    wanted: dict[str, Draw] = {each.key: (0, each) for each in asking} if one else draws_of(asking, plan.samples)
    texts = [*plan.continuations.values(), *plan.letters.values(), *plan.references.values()]
    scored = {each.key: each for group in texts if not isinstance(group, str) for each in group}
    keys = [*wanted, *scored]
    missing = [key for key in keys if not done(store.get(key))]
    resumed = len(keys) - len(missing)
    if resumed:
        reporter.note(f"{resumed} of {len(keys)} prompts are done already")
    cache = plan.generation_id if plan.settings.cache else None
    cached = 0
    if cache is not None and missing and not plan.settings.fresh:
        cached = _copy_from_cache(cache, store, missing, reporter)
    if cached:
        reporter.note(f"{cached} answers come from the generation cache (same weights, prompts and sampling)")
        missing = [key for key in missing if not done(store.get(key))]
    if not missing:
        if cache is not None and resumed:
            # A run that was killed after its last answer has not told the cache yet.
            _copy_to_cache(cache, store, keys, reporter)
        return Generated(resumed, cached, 0, 0.0, 0.0, _recorded_info(store) or plan.engine_info)
    requests = [wanted[key] for key in missing if key in wanted]
    continuations = [scored[key] for key in missing if key in scored]
    asked = len(wanted)
    # These tables would lie idle beside all that an engine holds.
    del wanted, texts, scored, missing
    if plan.engine.local:
        reporter.note(f"loading {plan.engine.name} (imports and weights: usually 10 to 60 seconds)")
    started = time.perf_counter()
    with _opened(plan, reporter) as engine:
        loaded = time.perf_counter()
        store.put(ENGINE_KEY, {"info": asdict(engine.info)})
        told = _tell(engine, reporter, 0)
        try:
            count = 0
            if requests and one:
                answers = engine.generate([request for _, request in requests], plan.sampling)
                count = _generate(engine, answers, len(requests), store, reporter)
            elif requests:
                answers = generated(engine, requests, plan.sampling)
                count = _generate(engine, answers, len(requests), store, reporter)
            if continuations:
                count += _score_continuations(engine, continuations, store, reporter)
        except EngineError as error:
            kept = sum(done(store.get(key)) for key in keys)
            line = f"{error}; {kept} of {len(keys)} answers are kept: run the same command again to go on"
            raise EngineError(line) from error
        finally:
            _tell(engine, reporter, told)
            if cache is not None:
                _copy_to_cache(cache, store, keys, reporter)
    if asked and not any(done(store.get(key)) for key in keys[:asked]):
        raise EngineError(f"none of {asked} prompts was answered: {_first_error(store, keys[:asked])}")
    finished = time.perf_counter()
    return Generated(resumed, cached, count, loaded - started, finished - loaded, engine.info)


def _fill_given(plan: Plan, store: RecordStore, reporter: Reporter) -> Generated:
    """The same for answers that are there already, of which there may be millions: they pass by one by one."""
    total = len(plan.prompts)
    # A journal without any has none of these either.
    resumed = sum(done(store.get(prompt.request.key)) for prompt in plan.prompts) if len(store) else 0
    if resumed:
        reporter.note(f"{resumed} of {total} prompts are done already")
    if resumed == total:
        return Generated(resumed, 0, 0, 0.0, 0.0, _recorded_info(store) or plan.engine_info)
    started = time.perf_counter()
    with _opened(plan, reporter) as engine:
        loaded = time.perf_counter()
        store.put(ENGINE_KEY, {"info": asdict(engine.info)})
        left = (prompt.request for prompt in plan.prompts if not (resumed and done(store.get(prompt.request.key))))
        told = _tell(engine, reporter, 0)
        try:
            parts = iter(lambda: list(islice(left, _PART)), [])
            answers = chain.from_iterable(engine.generate(part, plan.sampling) for part in parts)
            count = _generate(engine, answers, total - resumed, store, reporter)
        except EngineError as error:
            kept = sum(done(store.get(prompt.request.key)) for prompt in plan.prompts)
            line = f"{error}; {kept} of {total} answers are kept: run the same command again to go on"
            raise EngineError(line) from error
        finally:
            _tell(engine, reporter, told)
    return Generated(resumed, 0, count, loaded - started, time.perf_counter() - loaded, engine.info)


def done(record: dict[str, Any] | None) -> bool:
    """Is this a whole answer or likelihood, not a failure to be retried (nor a garbled record)?"""
    if record is None:
        return False
    if "log_likelihood" in record:
        value = record["log_likelihood"]
        return value is None or (isinstance(value, int | float) and math.isfinite(value))
    counts = (record.get("prompt_tokens"), record.get("completion_tokens"))
    return (
        isinstance(record.get("text"), str)
        and record.get("finish_reason") in ("stop", "length")
        and all(isinstance(count, int) for count in counts)
    )


@contextlib.contextmanager
def _opened(plan: Plan, reporter: Reporter) -> Iterator[Engine]:
    """The engine, closed afterwards; what it did not foresee becomes an `EngineError`."""
    try:
        engine = plan.engine.open(plan.engine_settings)
    except TelbenchError:
        raise
    except Exception as error:
        raise EngineError(f"the {plan.engine.name} engine cannot be opened: {_told(error)}") from error
    try:
        yield engine
    finally:
        try:
            engine.close()
        except Exception as error:
            # All answers are in the journal by now: a bad end must not cost them.
            reporter.note(f"the {plan.engine.name} engine did not close well: {_told(error)}")


def _generate(
    engine: Engine, completions: Iterable[Completion], asked: int, store: RecordStore, reporter: Reporter
) -> int:
    """Number of completions, failed ones included; so many are ``asked`` for."""
    count, failed, tokens, started = 0, 0, 0, time.perf_counter()
    first_error = ""
    with reporter.progress(f"generating with {engine.info.name}", asked) as meter:
        for completion in _guarded(completions, engine.info.name):
            record: dict[str, Any] = {
                "text": completion.text,
                "finish_reason": completion.finish_reason,
                "prompt_tokens": completion.prompt_tokens,
                "completion_tokens": completion.completion_tokens,
            }
            for name in ("error", "reasoning"):
                if (told := getattr(completion, name)) is not None:
                    record[name] = told
            store.put(completion.key, record)
            count += 1
            tokens += completion.completion_tokens
            if completion.finish_reason == "error":
                failed += 1
                first_error = first_error or (completion.error or "no reason given")
            rate = tokens / max(1e-9, time.perf_counter() - started)
            meter.advance(1, f"{rate:,.0f} tok/s" + (f", {failed} failed" if failed else ""))
    if failed:
        reporter.note(f"{failed} of {asked} prompts failed (first: {first_error}); run again to retry them")
    return count


def _score_continuations(
    engine: Engine, continuations: list[Continuation], store: RecordStore, reporter: Reporter
) -> int:
    """Number of likelihoods asked for."""
    with reporter.progress("likelihoods", len(continuations)) as meter:
        try:
            for key, value in _guarded(engine.log_likelihoods(continuations), engine.info.name):
                store.put(key, {"log_likelihood": value if math.isfinite(value) else None})
                meter.advance()
        except NotImplementedError as error:
            why = f" ({error})" if str(error) else ""
            reporter.note(
                f"the {engine.info.name} engine gives no likelihoods{why}: metrics that need them have no value"
            )
            return 0
    for each in continuations:
        # Not finite (half-precision overflow): the checkpoint's own doing, and the same when asked again.
        if each.key not in store:
            store.put(each.key, {"log_likelihood": None})
    return len(continuations)


def _tell(engine: Engine, reporter: Reporter, before: int) -> int:
    """Tell what an engine has noted, but the first ``before`` lines; how many there are now."""
    notes = tuple(getattr(engine, "notes", ()))
    for note in notes[before:]:
        reporter.note(note)
    return len(notes)


def _guarded(results: Iterable[Any], name: str) -> Iterator[Any]:
    """Pass results on; what an engine did not foresee becomes an `EngineError` with its type and message."""
    try:
        yield from results
    except (TelbenchError, NotImplementedError, GeneratorExit):
        raise
    except Exception as error:
        raise EngineError(f"the {name} engine failed: {_told(error)}") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _first_error(store: RecordStore, keys: Iterable[str]) -> str:
    records = (store.get(key) or {} for key in keys)
    return next((str(record["error"]) for record in records if record.get("error")), "no reason given")


def _recorded_info(store: RecordStore) -> EngineInfo | None:
    """The engine as it ran when the journal's answers were made."""
    record = store.get(ENGINE_KEY)
    try:
        return None if record is None else EngineInfo(**record["info"])
    except (KeyError, TypeError):
        return None


def _copy_from_cache(identity: str, store: RecordStore, keys: Sequence[str], reporter: Reporter) -> int:
    """Number of answers that the shared store of this generation identity holds."""
    copied = 0
    for record in _cached(identity, (ENGINE_KEY, *keys), reporter):
        if record["key"] == ENGINE_KEY or done(record):
            _copy(record, store)
            copied += record["key"] != ENGINE_KEY
    return copied


def _cached(identity: str, keys: Sequence[str], reporter: Reporter) -> Iterator[dict[str, Any]]:
    """Records of the cache; where it cannot be read there are none."""
    try:
        with shared_store("generations", identity) as cache:
            for key in keys if cache is not None else ():
                record = cache.get(key) if cache is not None else None
                if record is not None:
                    yield record
    except InputError as error:
        reporter.note(f"the generation cache was not read: {error}")


def _copy_to_cache(identity: str, store: RecordStore, keys: Sequence[str], reporter: Reporter) -> None:
    try:
        with shared_store("generations", identity) as cache:
            if cache is None:
                return
            for key in (ENGINE_KEY, *keys):
                record = store.get(key)
                if record is None or (key != ENGINE_KEY and not done(record)):
                    continue
                if cache.get(key) != record:
                    _copy(record, cache)
    except InputError as error:
        # The answers are safe in the journal; a cache that takes no more only costs time later.
        reporter.note(f"the generation cache was not written: {error}")


def _copy(record: dict[str, Any], target: RecordStore) -> None:
    target.put(record["key"], {name: value for name, value in record.items() if name != "key"})

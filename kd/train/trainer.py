"""The training loop: exact means over processes and parts of a step, resumable at every save, bitwise on a processor.

Runs alone or under ``accelerate launch`` (data parallel). A step's loss is divided by the answer tokens of all its
parts on all processes, which are counted before the first part goes through the student, so that neither the number of
processes nor that of the parts changes it. This module needs torch to be imported.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from telbench.errors import InputError, TelbenchError

from ...harness.cli.terminal import Meter
from ...harness.loggers.contract import LoggedRun, Logs
from ...metrics.contract import Metric
from ..batches import sent
from ..rollout.contract import Rollouts
from ..selection.score import DEV_LOSS, Asked, DevAnswers, selecting_metric
from ..settings import AUTO
from ..teacher.rows import TeacherRows
from .dev_loss import DevSplit
from .distiller import Denominators, Distiller, MicroBatch, make_micro_batch
from .examples import PairedExample, PlannedStep, lengths_of, parts_of, taught
from .on_policy import StudentAnswers
from .optimisation import LOG, adamw_over, asked_to_stop, learning_rate_at
from .prepare import Prepared
from .report import show_losses
from .state import (
    MODEL,
    OPTIMIZER,
    Best,
    Progress,
    full,
    load_optimizer,
    load_rng,
    load_weights,
    moments_of,
    read_progress,
    save_best,
    save_progress,
    save_rng,
    save_state,
    saved_step,
    spread,
    trained_weights,
    whole,
)


@dataclass(frozen=True)
class Trained:
    """Where a training ended; ``kept`` is the step whose weights become the checkpoint."""

    progress: Progress
    kept: int


class Trainer:
    """One training in its working folder."""

    def __init__(
        self,
        prepared: Prepared,
        distiller: Distiller,
        accelerator: Any,
        work: Path,
        rollouts: Rollouts,
        *,
        teacher: TeacherRows | None = None,
        own_answers: StudentAnswers | None = None,
    ) -> None:
        self._prepared = prepared
        self._optimiser = prepared.settings.optimiser
        self._keeping = prepared.settings.keeping
        self._accelerator = accelerator
        self._work = work
        self._rollouts = rollouts
        self._teacher = teacher
        self._own_answers = own_answers
        self._distiller = distiller
        self._logs: Logs | None = None
        self._patience = self._keeping.patience or math.inf
        optimizer = adamw_over(
            distiller.student, distiller.projectors, self._optimiser, prepared.settings.method.projector_rate
        )
        # Before the wrappers, which put the weights elsewhere: a state names the plain module's weights.
        found = read_progress(work, prepared.key)
        self.progress = Progress(prepared.key)
        if found is not None:
            self.progress, folder = found
            load_weights(distiller, folder / MODEL)
        self._module, self._optimizer = accelerator.prepare(distiller, optimizer)
        if self._keeping.select != DEV_LOSS and any(map(spread, distiller.parameters())):
            raise InputError(f"select: {self._keeping.select} needs the whole student in each process: no FSDP")
        own = -(-self._optimiser.batch_size // accelerator.num_processes)
        asked, most = self._optimiser.micro_batch_size, self._optimiser.micro_batch_tokens
        self._lengths: Sequence[int] = ()
        if most is not None:
            self._lengths = lengths_of(prepared.texts.examples, prepared.settings.method)
            # Of the dev split, which is looked at so many items at once.
            asked = max(1, most // max(lengths_of(prepared.texts.dev_examples, prepared.settings.method), default=most))
        self.items_at_once = (self._largest(own) if asked == AUTO else asked) or own
        self._dev = DevSplit(
            prepared,
            self._module,
            distiller.objective,
            self.items_at_once,
            accelerator.device,
            accelerator.num_processes,
            accelerator.process_index,
            self._summed,
        )
        if found is not None:
            load_optimizer(self._optimizer.optimizer, found[1] / OPTIMIZER)
            load_rng(found[1], accelerator.process_index)
        # When a training would have begun that had never been stopped.
        self._begun = time.perf_counter() - self.progress.seconds, time.process_time() - self.progress.cpu_seconds

    def train(self, meter: Meter) -> Trained:
        """All steps that are left; the last and the best step's weights are then in the working folder.

        Raises:
            TelbenchError: when loss or gradient are no finite numbers. KeyboardInterrupt: after the state was saved.
        """
        plan, dev = self._prepared.plan, bool(self._prepared.texts.dev_examples)
        meter.advance(self.progress.step)
        with self._log() as log, asked_to_stop(twice_ends=True) as stop:
            self._module.train()
            # The last one was cut short before or while it looked at the dev split.
            begun, every = self.progress.step, self._keeping.evaluate_every
            if dev and self.progress.looked < begun and self._due(begun, every):
                self._look(log, meter, stop)
            for planned in plan.from_step(begun):
                if self.progress.stale >= self._patience:
                    break
                self._step(planned, log, meter)
                done, asked = planned.number + 1, self._agreed(stop)
                look = dev and self._due(done, every)
                # A look may take longer than the steps since the last save.
                if asked or look or self._due(done, self._keeping.save_every):
                    self._save(log)
                if asked and done < plan.steps:
                    raise KeyboardInterrupt
                if look:
                    self._look(log, meter, stop)
            if not plan.steps or (self.progress.step < plan.steps and self.progress.stale < self._patience):
                raise TelbenchError("the plan ended before its last step")
        best, step = self.progress.best, self.progress.step
        return Trained(self.progress, best.step if best and self._keeping.keep == "best" else step)

    def _step(self, planned: PlannedStep, log: IO[bytes], meter: Meter) -> None:
        micros, weights, own = self._micro_batches(planned)
        over = self._denominators(micros, weights)
        rate = self._set_rates(planned.number)
        self._optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        device = self._accelerator.device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for index, (micro, weight) in enumerate(zip(micros, weights, strict=True)):
            last = index == len(micros) - 1
            with contextlib.nullcontext() if last else self._accelerator.no_sync(self._module):
                loss, parts = self._module(micro, replace(over, weight=weight))
                # Data-parallel wrappers take the mean over processes; the denominators are those of all of them.
                self._accelerator.backward(loss * self._accelerator.num_processes)
            # Where they are: to ask for their values here would stop the processor until the GPU has caught up.
            total += loss.detach()
            for name, value in parts.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach().float()
        norm = self._accelerator.clip_grad_norm_(self._module.parameters(), self._optimiser.clip_norm)
        record, norm = self._record(planned, total, sums, over, rate, norm)
        self._check(record["loss"], "loss", planned.number)
        self._check(norm, "gradient norm", planned.number)
        self._optimizer.step()
        tokens = self.progress.tokens + sum(self._prepared.plan.lengths[index] for index in planned.items)
        wall, cpu = self._begun
        self.progress = replace(
            self.progress,
            step=planned.number + 1,
            tokens=tokens,
            seconds=time.perf_counter() - wall,
            cpu_seconds=time.process_time() - cpu,
        )
        record |= {"gradient_norm": norm, "tokens": tokens, "seconds": round(self.progress.seconds, 3)}
        if self._own_answers is not None:
            record["own_answers"] = own
        self._write(log, record)
        meter.advance(1, f"loss {record['loss']:.3f}, {tokens / max(1e-9, self.progress.seconds):,.0f} tokens/s")

    def _largest(self, own: int) -> int:
        """Items of the ``own`` ones of each step that fit into memory at once; the least of all processes."""
        from .fitting import longest_that_fit

        def run(examples: Sequence[PairedExample]) -> None:
            micro = self._micro_batch(examples, own=False)
            loss, _ = self._module(micro, Denominators(micro.batch.n_labels, len(micro.pairs)))
            self._accelerator.backward(loss)
            self._optimizer.zero_grad(set_to_none=True)

        trained = [weight for weight in self._module.parameters() if weight.requires_grad]
        found = longest_that_fit(run, self._prepared.texts.examples, own, self._accelerator.device, trained)
        every = torch.zeros(self._accelerator.num_processes, dtype=torch.float64)
        every[self._accelerator.process_index] = found
        return int(self._summed(every).min())

    def _micro_batches(self, planned: PlannedStep) -> tuple[list[MicroBatch], list[float], bool]:
        """This process's parts, their weights (0 for one that only keeps the others company), own answers or not."""
        world, rank = self._accelerator.num_processes, self._accelerator.process_index
        runs = parts_of(planned.items, world, self._optimiser, self.items_at_once, self._lengths)[rank]
        own = self._own_answers is not None and self._own_answers.wanted(planned.number)
        micros, weights = [], []
        for run in runs:
            # A data-parallel step waits for every process: one without items goes along with an item of no weight.
            examples = [self._prepared.texts.examples[index] for index in run or planned.items[:1]]
            if own and self._own_answers is not None:
                examples = self._own_answers.examples(examples, planned.number)
            micros.append(self._micro_batch(examples, own))
            weights.append(1.0 if run else 0.0)
        return micros, weights, own

    def _micro_batch(self, examples: Sequence[PairedExample], own: bool) -> MicroBatch:
        prepared = self._prepared
        micro = make_micro_batch(
            examples, prepared.pad, self._distiller.objective, prepared.link, self._accelerator.device
        )
        rows = None if self._teacher is None else sent(self._teacher.rows(taught(examples)), self._accelerator.device)
        return replace(micro, teacher_rows=rows, own=own)

    def _denominators(self, micros: Sequence[MicroBatch], weights: Sequence[float]) -> Denominators:
        counted = [micro for micro, weight in zip(micros, weights, strict=True) if weight]
        counts = [sum(micro.batch.n_labels for micro in counted), sum(len(micro.pairs) for micro in counted), 0, 0]
        # A step of one part on one process finds its share on the way.
        asked = self._distiller.objective.share is not None and len(micros) * self._accelerator.num_processes > 1
        if asked:
            # Of parts without weight too: where the head is spread over processes, all of them ask together.
            for micro, weight in zip(micros, weights, strict=True):
                with torch.no_grad():
                    part, every = self._module(micro, None, "share")[0].tolist()
                counts[2], counts[3] = counts[2] + part * int(weight), counts[3] + every * int(weight)
        labels, pairs, part, every = self._summed(torch.tensor(counts, dtype=torch.float64)).long().tolist()
        return Denominators(labels, pairs, (part, every) if asked else None)

    def _summed(self, values: Tensor) -> Tensor:
        """Over all processes."""
        if self._accelerator.num_processes == 1:
            return values
        return self._accelerator.reduce(values.to(self._accelerator.device), reduction="sum").cpu()

    def _set_rates(self, step: int) -> float:
        settings = self._optimiser
        share = learning_rate_at(step, self._prepared.plan.steps, 1.0, settings.warmup_share, settings.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = share * group["peak"]
        return share * settings.learning_rate

    def _record(
        self, planned: PlannedStep, total: Tensor, sums: dict[str, Tensor], over: Denominators, rate: float, norm: Any
    ) -> tuple[dict[str, Any], float]:
        """What is told of a step, and its gradient's norm, which all processes have; read from the device at once."""
        names, first = sorted(sums), float(self._accelerator.is_main_process)
        norm = norm.full_tensor() if spread(norm) else norm
        every = [total, *(sums[name].double() for name in names), norm.double() * first]
        *values, length = self._summed(torch.stack(every)).tolist()
        record = {"step": planned.number + 1, "epoch": planned.epoch, "loss": values[0], "learning_rate": rate}
        means = dict(zip(names, (value / max(1, over.labels) for value in values[1:]), strict=True))
        return record | {name: value for name, value in means.items() if math.isfinite(value)}, length

    def _check(self, value: float, what: str, step: int) -> None:
        if not math.isfinite(value):
            saved = saved_step(self._work)
            kept = "" if saved is None else f"the state of step {saved} is kept"
            raise TelbenchError(
                f"training stopped at step {step + 1}: the {what} is {value}; lower the learning rate (now "
                f"{self._optimiser.learning_rate:g}) or look for odd items in the data" + (f"; {kept}" if kept else "")
            )

    def _look(self, log: IO[bytes], meter: Meter, stop: threading.Event) -> None:
        """The loss on the dev split, and the weights if they are the best so far; the state was saved before."""
        done, select = self.progress.step, self._keeping.select
        loss = self._dev.loss(self._work, done, meter, stop)
        self._check(loss, "loss on the dev split", done - 1)
        best, stale = self.progress.best, self.progress.stale + 1
        found, better = Best(done, loss), best is None or loss < best.loss
        if select != DEV_LOSS:
            found, better = self._scored(found, meter, stop)
        scores = {} if found.score is None else {f"dev_{select}": found.score}
        self._write(log, {"step": done, "dev_loss": loss, **scores})
        if better:
            first = self._accelerator.is_main_process
            weights = whole(trained_weights(self._distiller), kept=first)
            if first:
                save_best(self._work, done, weights)
            best, stale = found, 0
        self.progress = replace(self.progress, best=best, looked=done, stale=stale, log_bytes=log.tell())
        if self._accelerator.is_main_process:
            save_progress(self._work, self.progress)

    def _scored(self, found: Best, meter: Meter, stop: threading.Event) -> tuple[Best, bool]:
        """The look with the metric of the student's answers, which the first process asks for; is it the best?"""
        prepared, keeping, first = self._prepared, self._keeping, self._accelerator.is_main_process
        metric, score = selecting_metric(keeping.select), None
        if first:
            items = {item.id: item for item in prepared.texts.dev.items} if prepared.texts.dev else {}
            prompts = [(each.item_id, each.student.ids[: each.student.start]) for each in prepared.texts.dev_examples]
            asked = [Asked(items[name], prompt) for name, prompt in prompts]
            answers = DevAnswers(metric, asked, keeping.select_max_tokens)
            score = answers.score(self._rollouts, self._work, found.step, meter, stop)
        told = torch.tensor([score or 0.0, float(first and score is None)], dtype=torch.float64)
        value, asked_to_end = self._summed(told).tolist()
        if asked_to_end:
            raise KeyboardInterrupt
        best = self.progress.best
        return replace(found, score=value), best is None or _better(metric, value, best.score)

    def _due(self, done: int, every: int | None) -> bool:
        plan = self._prepared.plan
        return done == plan.steps or done % (every or plan.epoch_steps) == 0

    def _agreed(self, stop: threading.Event) -> bool:
        """Has any process been asked to stop?"""
        return bool(self._summed(torch.tensor([float(stop.is_set())], dtype=torch.float64)).item())

    def _save(self, log: IO[bytes]) -> None:
        log.flush()
        self.progress = replace(self.progress, log_bytes=log.tell())
        scratch = self._work / "saving-state"
        try:
            if self._accelerator.is_main_process:
                scratch.mkdir(exist_ok=True)
            self._accelerator.wait_for_everyone()
            save_rng(scratch, self._accelerator.process_index)
        except OSError as error:
            raise full(error, scratch) from error
        # Where weights are spread over processes, all of them ask together.
        first = self._accelerator.is_main_process
        weights = whole(trained_weights(self._distiller), kept=first)
        moments = moments_of(self._optimizer.optimizer, kept=first)
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            save_state(self._work, scratch, weights, moments, self.progress)
        self._accelerator.wait_for_everyone()

    @contextlib.contextmanager
    def _log(self) -> Iterator[IO[bytes]]:
        """The steps' log, cut to what the state knows of; other processes than the first write nowhere."""
        if not self._accelerator.is_main_process:
            with tempfile.TemporaryFile() as nowhere:
                yield nowhere
            return
        with (self._work / LOG).open("ab") as log:
            log.truncate(self.progress.log_bytes)
            log.seek(self.progress.log_bytes)
            if self._keeping.log:
                self._logs = Logs(self._keeping.log, self._logged())
            try:
                yield log
            finally:
                if self._logs is not None:
                    ended = self.progress.stale >= self._patience or self.progress.step == self._prepared.plan.steps
                    show_losses(self._logs if ended else None, self._work / LOG)
                    self._logs.close(finished=ended)

    def _logged(self) -> LoggedRun:
        prepared, keeping = self._prepared, self._keeping
        name, folder = self._work.name.removesuffix(".training"), keeping.log_dir or self._work
        told = prepared.settings.to_dict()
        return LoggedRun(name, folder, prepared.key, keeping.log_project, told, self.progress.step)

    def _write(self, log: IO[bytes], record: dict[str, Any]) -> None:
        try:
            log.write((json.dumps(record, allow_nan=False) + "\n").encode())
            log.flush()
            if self._logs is not None:
                self._logs.record(record)
        except OSError as error:
            raise full(error, self._work / LOG) from error


def _better(metric: Metric, value: float, before: float | None) -> bool:
    return before is None or (value > before if metric.higher_is_better else value < before)

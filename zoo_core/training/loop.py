"""The one loop: phases over micro-batches, keyed randomness, one update per phase, and nothing about what is learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.config.settings import Training
from zoo_core.contract.data import Batch
from zoo_core.contract.task import At, Phase, StepOutput, Task, move
from zoo_core.errors import PluginError
from zoo_core.models.freezing import train_mode
from zoo_core.training.ema import Ema
from zoo_core.training.hardware import Hardware
from zoo_core.training.meter import Meter
from zoo_core.training.optim import Schedule, Update
from zoo_core.training.order import GlobalBatch
from zoo_core.training.randomness import RowDraws, key, reseed


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What the loop tells after every optimizer step; the tensors stay on the device."""

    step: int
    """Steps done, from 1."""
    done: GlobalBatch
    """What the step consumed."""


_AFTER, _WHOLE = -1, -2
"""Take the place of the micro-batch among the words that key what `Task.after_update` and a step on a whole batch draw."""


class Loop:
    """Runs the phases of a task. Knows sums, weights and modules' names."""

    def __init__(
        self,
        task: Task,
        *,
        updates: Mapping[str, Update],
        training: Training,
        schedule: Schedule,
        steps: int,
        hardware: Hardware,
        ema: Ema | None = None,
        frozen: frozenset[str] = frozenset(),
    ) -> None:
        self.task = task
        self.updates = updates
        self.training = training
        self.schedule = schedule
        self.steps = steps
        self.hardware = hardware
        self.ema = ema
        self.frozen = frozen
        self.meter = Meter([phase.name for phase in task.phases], hardware.device)
        self.modules = task.modules()
        self.compiled: dict[str, nn.Module] = dict(self.modules)
        if training.compile:
            self.compiled = {name: _compiled(module) for name, module in self.modules.items()}
        self._trained = {name: [p for p in m.parameters() if p.requires_grad] for name, m in self.modules.items()}
        self._trainable: dict[str, bool] = dict.fromkeys(self.modules, True)
        self._factor: float | None = None
        kind = type(task)
        # Looked up once: what a task doesn't define costs a step nothing.
        self._before_update = kind.before_update is not Task.before_update
        self._after_update = kind.after_update is not Task.after_update
        kept = task.model.state_dict().keys()
        self._buffers = [buffer for name, buffer in task.model.named_buffers() if name in kept]
        self._every_buffer = list({id(b): b for module in self.modules.values() for b in module.buffers()}.values())
        # Where no update may be skipped the run ends before such buffers are saved, and needs no copies.
        self._guarded = self._buffers if training.skip_nonfinite else []

    def run(self, batches: Iterator[GlobalBatch], start: int, after_step: Callable[[StepResult], bool]) -> int:
        """Train from step `start` (from 0) until the planned steps are done or `after_step` says to stop."""
        train_mode(self.task, self.frozen)
        self.meter.restart()
        step = start
        while step < self.steps:
            asked = time.perf_counter()
            done = next(batches)
            self.meter.waited += time.perf_counter() - asked
            self._step(step, done)
            step += 1
            if after_step(StepResult(step=step, done=done)):
                break
        return step

    def _step(self, step: int, done: GlobalBatch) -> None:
        rate = self.schedule(step, self.steps)
        if rate != self._factor:
            self._factor = rate
            for update in self.updates.values():
                update.set_lr(rate)
        micro_batches = [move(batch, self.hardware.device) for batch in done.micro_batches]
        at = At(step, self.steps, done.epoch)
        rows = done.samples // (len(micro_batches) * self.hardware.ranks)
        for number, phase in enumerate(self.task.phases):
            if step % phase.every == 0:
                self._phase(number, phase, micro_batches, at, rows)
        if self.ema:
            self.ema.update(step)
        self.meter.samples += done.samples
        self.meter.steps += 1

    def _phase(self, number: int, phase: Phase, micro_batches: list[Batch], at: At, rows: int) -> None:
        update = self.updates[phase.optimizer]
        self._set_trainable(phase.trains)
        before = [buffer.clone() for buffer in self._guarded]
        if phase.batch_wide:
            total = self._together(number, phase, micro_batches, at, rows)
        else:
            total = self._one_by_one(number, phase, micro_batches, at, rows)
        trained = [p for name in phase.trains for p in self._trained[name]]
        total = self.hardware.reduce_gradients(phase.name, trained, total)
        if self._before_update:
            self.task.before_update(phase.name, self.modules, at)
        norms = update.step(total)
        update.zero_grad()
        self.meter.phases[phase.name].add_update(norms.norm, norms.finite)
        for buffer, kept in zip(self._guarded, before, strict=True):
            buffer.copy_(torch.where(norms.finite, buffer, kept))
        if self._after_update:
            reseed(key(self.training.seed, at.step, number, _AFTER), self.hardware.device)
            torch.set_grad_enabled(False)  # a fifth of the time that entering torch.no_grad takes
            try:
                self.task.after_update(phase.name, self.modules, At(at.step, at.steps, at.epoch, finite=norms.finite))
            finally:
                torch.set_grad_enabled(True)
        if self.hardware.ranks > 1:
            # Running statistics would otherwise differ by rank, and only rank 0's are saved.
            self.hardware.broadcast_tensors(self._buffers)

    def _one_by_one(self, number: int, phase: Phase, micro_batches: list[Batch], at: At, rows: int) -> Tensor:
        """Gradients of the sum of the micro-batches' losses, and their weight."""
        modules = self.modules if phase.double_backward else self.compiled
        total: Tensor | None = None
        for micro, batch in enumerate(micro_batches):
            with self._draws(number, micro, len(micro_batches), at, rows):
                with self.hardware.autocast():
                    output = self.task.step(phase.name, modules, batch, at._replace(micro=micro) if micro else at)
                if self.training.gradient_checkpointing:  # what is computed again has to draw the same
                    output.loss_sum.backward()  # type: ignore[no-untyped-call]
            if not self.training.gradient_checkpointing:
                output.loss_sum.backward()  # type: ignore[no-untyped-call]
            weight = self._counted(phase, output)
            total = weight if total is None else total + weight
        assert total is not None
        return total

    def _together(self, number: int, phase: Phase, micro_batches: list[Batch], at: At, rows: int) -> Tensor:
        """Gradients of one loss over the rows of all micro-batches and ranks, and its weight.

        Memory is that of one micro-batch: all are embedded without gradients but the last, the loss is taken to the rows,
        and each micro-batch is embedded once more to take its rows' gradient on (Gao et al., Scaling Deep Contrastive
        Learning Batch Size under Memory Limited Setup, 2021, arXiv:2101.06983, section 3.2).
        """
        last = len(micro_batches) - 1
        before: list[list[Tensor]] = []
        found: list[Mapping[str, Tensor]] = []
        for micro, batch in enumerate(micro_batches):
            before.append([buffer.clone() for buffer in self._every_buffer] if last else [])
            with torch.set_grad_enabled(micro == last):
                found.append(self._embedded(number, phase, micro, last + 1, batch, at, rows))
        after = [buffer.clone() for buffer in self._every_buffer] if last else []
        leaves = [
            {name: t.detach().requires_grad_(t.is_floating_point()) for name, t in part.items()} for part in found
        ]
        reseed(key(self.training.seed, at.step, number, _WHOLE), self.hardware.device)
        with self.hardware.autocast():
            output = self.task.step(phase.name, self.compiled, self.hardware.rows(leaves), at)
        output.loss_sum.backward()  # type: ignore[no-untyped-call]
        weight = self._counted(phase, output)
        if self.hardware.rank > 0:
            # Every rank has the whole loss: what it owes to a parameter itself, and its weight, count once.
            for name in phase.trains:
                for parameter in self._trained[name]:
                    parameter.grad = None
            weight = weight * 0.0
        for micro in reversed(range(last + 1)):
            part = found[micro]
            if micro < last:
                _put(self._every_buffer, before[micro])
                part = self._embedded(number, phase, micro, last + 1, micro_batches[micro], at, rows)
            reached = [name for name, row in part.items() if row.requires_grad and leaves[micro][name].grad is not None]
            torch.autograd.backward([part[name] for name in reached], [leaves[micro][name].grad for name in reached])
        _put(self._every_buffer, after)
        return weight

    def _embedded(
        self, number: int, phase: Phase, micro: int, count: int, batch: Batch, at: At, rows: int
    ) -> Mapping[str, Tensor]:
        with self._draws(number, micro, count, at, rows), self.hardware.autocast():
            found = self.task.embed(phase.name, self.compiled, batch, at._replace(micro=micro))
        for name, part in found.items():
            if len(part) != rows:
                raise PluginError(
                    f"{type(self.task).__name__}.embed gives {len(part)} rows of {name} for {rows} samples",
                    hint="a row for each sample of the micro-batch, in its order",
                )
        return found

    def _draws(self, number: int, micro: int, count: int, at: At, rows: int) -> AbstractContextManager[Any]:
        """Key what is drawn for one micro-batch of `count` on this rank, by its samples' places in the whole batch."""
        parts, ranks = count * self.hardware.ranks, self.hardware.ranks
        by_row = not self.training.compile
        words = (0, 0) if by_row else (micro, self.hardware.rank)
        reseed(key(self.training.seed, at.step, number, *words), self.hardware.device)
        return RowDraws(rows, micro * ranks + self.hardware.rank, parts) if by_row and parts > 1 else nullcontext()

    def _counted(self, phase: Phase, output: StepOutput) -> Tensor:
        """The weight of an output, which the meter has taken in."""
        weight = self._weight(output.weight)
        self.meter.phases[phase.name].add(output, weight)
        # Adds 0, or NaN for a loss that isn't finite: on every rank the update is then left out.
        return torch.add(weight, output.loss_sum.detach().to(weight.dtype), alpha=0.0)

    def _weight(self, weight: Tensor | float) -> Tensor:
        if isinstance(weight, Tensor):
            return weight.detach().to(device=self.hardware.device, dtype=torch.float32)
        # A fill, unlike a copy of the number, doesn't make the host wait for the device.
        return torch.full((), float(weight), dtype=torch.float32, device=self.hardware.device)

    def _set_trainable(self, trains: tuple[str, ...]) -> None:
        """Let gradients flow to the phase's own modules only."""
        for name, trainable in self._trainable.items():
            if trainable != (name in trains):
                for parameter in self._trained[name]:
                    parameter.requires_grad_(not trainable)
                self._trainable[name] = not trainable


def _compiled(module: nn.Module) -> nn.Module:
    compiled = torch.compile(module)
    assert isinstance(compiled, nn.Module)
    return compiled


@torch.no_grad()
def _put(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=False):  # no sources: nothing was changed
        target.copy_(source)

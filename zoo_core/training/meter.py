"""What is measured while training: sums stay on the device until a log step reads them all at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo_core.contract.task import StepOutput

_PENDING = 64
"""Micro-batches whose figures wait to be summed together: one kernel for many, and little memory held."""


class PhaseMeter:
    """Sums of one phase between two log steps, on the device."""

    def __init__(self, phase: str, device: torch.device) -> None:
        self.phase = phase
        # Counts outgrow what float32 can count; mps has nothing wider.
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums: dict[tuple[str, ...], Tensor] = {}
        """Loss, weight and metrics, by the names of the metrics: a step may give others than the one before."""
        self.norms: Tensor | None = None
        self.updates = 0
        self._figures: dict[tuple[str, ...], list[tuple[Tensor, ...]]] = {}
        self._updates: list[tuple[Tensor, Tensor]] = []

    def add(self, output: StepOutput, weight: Tensor) -> None:
        """Add a micro-batch."""
        rows = self._figures.setdefault(tuple(output.metrics), [])
        rows.append((output.loss_sum.detach(), weight, *(m.detach() for m in output.metrics.values())))
        if len(rows) >= _PENDING:
            self._fold()

    def add_update(self, norm: Tensor, finite: Tensor) -> None:
        """Add an optimizer update: its gradient norm, and whether it was applied."""
        self._updates.append((norm, finite))
        self.updates += 1
        if len(self._updates) >= _PENDING:
            self._fold()

    def take(self, prefix: str) -> tuple[dict[str, float], int]:
        """Read means since the last call and the number of updates that were skipped as non-finite; the host waits here.

        A metric is a mean over the units of the micro-batches that gave it.
        """
        self._fold()
        if not self.sums or self.norms is None or not self.updates:
            return {}, 0
        (norm, skipped), totals = self.norms.tolist(), dict[str, list[float]]()
        for names, sums in self.sums.items():
            loss, weight, *values = sums.tolist()
            for name, value in (("loss", loss), *zip(names, values, strict=True)):
                held = totals.setdefault(name, [0.0, 0.0])
                held[0] += value
                held[1] += weight
        metrics = {f"{prefix}{name}": value / (weight or 1.0) for name, (value, weight) in totals.items()}
        metrics[f"{prefix}grad_norm"] = norm / max(1.0, self.updates - skipped)
        metrics[f"{prefix}units"] = totals["loss"][1]
        self.sums, self.norms, self.updates = {}, None, 0
        return metrics, int(skipped)

    def _fold(self) -> None:
        """Sum what waits."""
        for names, figures in self._figures.items():
            rows = torch.stack([value.float() for row in figures for value in row]).view(len(figures), -1)
            total = rows.sum(0, dtype=self.dtype)  # (2 + metrics,)
            self.sums[names] = self.sums[names] + total if names in self.sums else total
        self._figures.clear()
        if self._updates:
            norms, finite = (torch.stack(column) for column in zip(*self._updates, strict=True))
            found = torch.stack([norms.where(finite, 0.0).sum(), (~finite).sum().float()])  # (2,)
            self.norms = found if self.norms is None else self.norms + found
            self._updates.clear()


class Clock:
    """Seconds of a run, those before it was resumed among them: by the wall, and of the processor."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._since = seconds - time.perf_counter(), cpu_seconds - time.process_time()

    def read(self) -> tuple[float, float]:
        """The sums until now."""
        return self._since[0] + time.perf_counter(), self._since[1] + time.process_time()


class Meter:
    """All phases, and the clock."""

    def __init__(self, phases: Sequence[str], device: torch.device) -> None:
        self.phases = {name: PhaseMeter(name, device) for name in phases}
        self.several = len(phases) > 1
        self.samples = 0
        self.steps = 0
        self.waited = 0.0
        self.started = time.perf_counter()

    def take(self) -> tuple[dict[str, float], int]:
        """Means since the last call with rates; and the number of skipped updates."""
        metrics: dict[str, float] = {}
        skipped = 0
        for name, phase in self.phases.items():
            found, missed = phase.take(f"{name}/" if self.several else "")
            metrics.update(found)
            skipped += missed
        seconds = max(time.perf_counter() - self.started, 1e-9)
        metrics["samples_per_second"] = self.samples / seconds
        metrics["seconds_per_step"] = seconds / max(1, self.steps)
        metrics["data_wait"] = self.waited / seconds
        units = sum(value for key, value in metrics.items() if key.endswith("units"))
        for key in [key for key in metrics if key.endswith("units")]:
            del metrics[key]
        metrics["units_per_second"] = units / seconds
        self.restart()
        return metrics, skipped

    def restart(self) -> None:
        """Start the clock anew, as after an evaluation."""
        self.samples, self.steps, self.waited, self.started = 0, 0, 0.0, time.perf_counter()


def rounded(metrics: Mapping[str, float], digits: int = 6) -> dict[str, float | None]:
    """Metrics to significant digits, for the log; None for what is not finite, which JSON has no word for."""
    return {name: float(f"{value:.{digits}g}") if math.isfinite(value) else None for name, value in metrics.items()}

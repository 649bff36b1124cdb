"""What is measured while training: sums stay on the device until a log step reads them all at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo_core.training.task import StepOutput

_PENDING = 64
"""Micro-batches whose figures wait to be summed together: one kernel for many, and little memory held."""


class PhaseMeter:
    """Sums of one phase between two log steps, on the device."""

    def __init__(self, phase: str, device: torch.device) -> None:
        self.phase = phase
        # Counts outgrow what float32 can count; mps has nothing wider.
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self.names: tuple[str, ...] = ()
        self.sums: Tensor | None = None
        self.norms: Tensor | None = None
        self.updates = 0
        self._figures: list[tuple[Tensor, ...]] = []
        self._updates: list[tuple[Tensor, Tensor]] = []

    def add(self, output: StepOutput, weight: Tensor) -> None:
        """Add a micro-batch."""
        names = tuple(output.metrics)
        if names != self.names:
            self._figures.clear()
            self.names, self.sums = names, None
        self._figures.append((output.loss_sum.detach(), weight, *(m.detach() for m in output.metrics.values())))
        if len(self._figures) >= _PENDING:
            self._fold()

    def add_update(self, norm: Tensor, finite: Tensor) -> None:
        """Add an optimizer update: its gradient norm, and whether it was applied."""
        self._updates.append((norm, finite))
        self.updates += 1
        if len(self._updates) >= _PENDING:
            self._fold()

    def take(self, prefix: str) -> tuple[dict[str, float], int]:
        """Read means since the last call and the number of updates that were skipped as non-finite; the one host sync."""
        self._fold()
        if self.sums is None or self.norms is None or not self.updates:
            return {}, 0
        sums, (norm, skipped) = self.sums.tolist(), self.norms.tolist()
        total = sums[1] or 1.0
        metrics = {f"{prefix}loss": sums[0] / total}
        for name, value in zip(self.names, sums[2:], strict=True):
            metrics[f"{prefix}{name}"] = value / total
        metrics[f"{prefix}grad_norm"] = norm / max(1.0, self.updates - skipped)
        metrics[f"{prefix}units"] = sums[1]
        self.sums = self.norms = None
        self.updates = 0
        return metrics, int(skipped)

    def _fold(self) -> None:
        """Sum what waits."""
        if self._figures:
            rows = torch.stack([value.float() for row in self._figures for value in row]).view(len(self._figures), -1)
            total = rows.sum(0, dtype=self.dtype)
            self.sums = total if self.sums is None else self.sums + total
            self._figures.clear()
        if self._updates:
            norms, finite = (torch.stack(column) for column in zip(*self._updates, strict=True))
            found = torch.stack([norms.where(finite, 0.0).sum(), (~finite).sum().float()])
            self.norms = found if self.norms is None else self.norms + found
            self._updates.clear()


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

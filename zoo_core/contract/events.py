"""What happens in a run, one frozen dataclass for each event, and who may watch: the reporter, and loggers that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from zoo_core.contract.specs import RunInfo, documented


@documented
@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """What every event says. A later version may add fields, and takes none away."""

    run: RunInfo
    """Which run it is."""


@documented
@dataclass(frozen=True, kw_only=True)
class RunStarted(RunEvent):
    """The first step is about to run, of a new run or of one that is resumed."""

    step: int = 0
    """Steps done: 0, or the step of the checkpoint that the run is resumed from."""
    state: Any = None
    """What this watcher left in that checkpoint; None for a new run, and for a watcher that leaves nothing."""


@documented
@dataclass(frozen=True, kw_only=True)
class StepLogged(RunEvent):
    """Figures that go to `metrics.jsonl`."""

    step: int
    """Steps done."""
    kind: Literal["train", "evaluation", "test"]
    """Means of training steps since the last log step, metrics of an evaluation on the way, or those of the end."""
    metrics: Mapping[str, float]
    """By name."""


@documented
@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(RunEvent):
    """A training checkpoint is complete on disk."""

    step: int
    """Steps done."""
    folder: Path
    """Where it is."""


@documented
@dataclass(frozen=True, kw_only=True)
class RunEnded(RunEvent):
    """The run is over."""

    status: Literal["finished", "stopped", "failed"]
    """`stopped` by a signal, and can be resumed; `failed` by an error."""
    step: int
    """Steps done."""
    checkpoint: str = ""
    """Full name of the checkpoint that it registered; empty if it didn't."""
    card: Mapping[str, Any] | None = None
    """The card of that checkpoint as plain data."""
    folder: Path | None = None
    """The folder of that checkpoint within the run's."""


class Logger:
    """Watches the runs of a recipe that names it, in the main process and on log steps only. All methods do nothing by default.

    One that raises or takes longer than `training.extras_timeout` is switched off with a message, and the run goes on.
    """

    def run_started(self, event: RunStarted) -> None:
        """Called once before the first step, also when a run is resumed."""

    def step_logged(self, event: StepLogged) -> None:
        """Called on log steps, after evaluations, and for the figures of the end."""

    def checkpoint_saved(self, event: CheckpointSaved) -> None:
        """Called when a training checkpoint is complete on disk."""

    def run_ended(self, event: RunEnded) -> None:
        """Called once, whatever the end was."""

    def state(self) -> Any:
        """What the next start is given as `RunStarted.state`, JSON-able and small; part of each training checkpoint."""
        return None


class Reporter(Protocol):
    """Watches one run. Called in the main process only and on log steps only, so it costs the hot path nothing."""

    def started(self, run: RunInfo, facts: Mapping[str, str]) -> None:
        """The first step is about to run; `facts` are what a reader wants to know first, in the order to show them."""

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        """A log step: `step` of `steps`, means since the last one, samples per second, estimated seconds to the end."""

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """An evaluation after `step` gave these metrics."""

    def message(self, text: str) -> None:
        """Anything else worth a line: what was skipped, what was kept, where a file went."""

    def ended(self, status: str) -> None:
        """The run is over: `finished`, `stopped` or `failed`."""


class SilentReporter:
    """A reporter that says nothing; what a run gets when nobody watches."""

    def started(self, run: RunInfo, facts: Mapping[str, str]) -> None:
        """Say nothing."""

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        """Say nothing."""

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def ended(self, status: str) -> None:
        """Say nothing."""

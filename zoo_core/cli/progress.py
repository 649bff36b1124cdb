"""Progress of a run on stderr: a live bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from zoo_core.cli.render import Output, PlainOutput, RichOutput, count, duration, is_terminal, number
from zoo_core.contract.specs import RunInfo

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

RATES = ("samples_per_second", "seconds_per_step", "units_per_second", "data_wait")
"""Figures for the metrics file; a line of progress has the rate already."""

REDRAW_SECONDS = 0.1
"""A bar is redrawn at most this often; it has no thread of its own, which would compete with the training for a core."""

SHARES = 20
"""A log without a terminal gets a line for every twentieth of the run, however often the loop logs."""


class PlainReporter:
    """Lines for pipes and log files; how many depends on the run's length only, not on the clock."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.shown = -1

    def started(self, run: RunInfo, facts: Mapping[str, str]) -> None:
        """Name the run and its facts."""
        self.output.pairs(heading(run, facts))

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        """One line whenever another twentieth is done."""
        share = SHARES * step // max(steps, 1)
        if share > self.shown:
            self.shown = share
            figures = [*format_metrics(metrics), f"{count(round(rate))} samples/s", f"{duration(seconds_left)} left"]
            self.output.line(f"step {step}/{steps}  " + "  ".join(figures))

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line an evaluation."""
        self.output.line(f"step {step} evaluated  " + "  ".join(format_metrics(metrics)))

    def message(self, text: str) -> None:
        """One line."""
        self.output.line(text)

    def ended(self, status: str) -> None:
        """The last line."""
        self.output.line(f"run {status}")

    def close(self) -> None:
        """Nothing is held."""


class RichReporter(PlainReporter):
    """A bar with step, rate, time left and loss; evaluations and messages scroll by above it."""

    def __init__(self, output: RichOutput) -> None:
        super().__init__(output)
        self.console = output.console
        self.progress: Progress | None = None
        self.bar: TaskID | None = None
        self.drawn = 0.0

    def started(self, run: RunInfo, facts: Mapping[str, str]) -> None:
        """Name the run and its facts, then draw the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.output.pairs(heading(run, facts))
        self.progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self.console,
            redirect_stdout=False,
            redirect_stderr=False,
            auto_refresh=False,
        )
        self.bar = self.progress.add_task("", total=run.steps, figures="")
        self.progress.start()

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        """Move the bar."""
        if self.progress is not None and self.bar is not None:
            figures = [
                f"{count(round(rate))} samples/s",
                f"{duration(seconds_left)} left",
                *format_metrics(metrics)[:3],
            ]
            self.progress.update(self.bar, completed=step, total=steps, figures="  ".join(figures))
            if time.monotonic() - self.drawn > REDRAW_SECONDS:
                self.progress.refresh()
                self.drawn = time.monotonic()

    def ended(self, status: str) -> None:
        """Leave the bar as it stands and say how the run ended."""
        self.close()
        super().ended(status)

    def close(self) -> None:
        """Give the terminal back, also after a failure the run didn't report."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def reporter_for(stream: TextIO, environ: Mapping[str, str]) -> PlainReporter:
    """The right reporter for a stream."""
    if is_terminal(stream, environ):
        return RichReporter(RichOutput(stream, environ))
    return PlainReporter(PlainOutput(stream))


def heading(run: RunInfo, facts: Mapping[str, str]) -> dict[str, str]:
    """What a run shows before its first step."""
    names = {"run": run.name, "model": run.model, "task": run.task, "steps": str(run.steps), "seed": str(run.seed)}
    return {**names, "folder": run.folder, **facts}


def format_metrics(metrics: Mapping[str, float]) -> list[str]:
    """`name value` for each metric but the rates, in the order given."""
    return [f"{name} {number(value)}" for name, value in metrics.items() if name not in RATES]

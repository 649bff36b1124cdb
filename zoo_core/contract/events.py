"""What a run tells the person who watches it: the reporter protocol, and the reporter that says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from zoo_core.contract.specs import RunInfo


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

"""Counts the training samples that were found bad when they were drawn and whose places others took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zoo_core.config.recipe import Component
from zoo_core.data.bad import Faults, settle_faults, skips
from zoo_core.errors import DataError
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import GlobalBatch
from zoo_core.training.workers import Bad


class Replaced:
    """The bad samples of a run over all its steps, ranks and resumes, each once however often it was drawn."""

    def __init__(self, data: Component, size: int, hardware: Hardware, resume: str) -> None:
        """`size` is that of the training split, `resume` what to type to go on with the run."""
        self.data, self.size, self.hardware, self.resume = data, size, hardware, resume
        self._known: dict[int, Bad] = {}
        self._new: list[Bad] = []
        self._told = 0

    def counted(self, steps: Iterator[GlobalBatch]) -> Iterator[GlobalBatch]:
        """The steps, which count once they are taken and not when a worker has read them."""
        for step in steps:
            self._new += step.bad
            yield step

    def final_notices(self) -> tuple[str, ...]:
        """The notice of all that was left out, if there is more than was told; all ranks have to ask together.

        Raises `DataError` as `notices` does.
        """
        if not skips(self.data.config):
            return ()
        own = {self.hardware.rank: [tuple(bad) for bad in self._new]}
        self._add(self.hardware.gather({}, {"bad": own})["bad"])
        self._new = []
        if len(self._known) == self._told:
            return ()
        self._told = len(self._known)
        return self.notices()

    def notices(self) -> tuple[str, ...]:
        """What was left out so far, for the log and the card.

        Raises `DataError` with the first bad samples where they are more than the share of the training split that the
        configuration allows.
        """
        if not self._known or not skips(self.data.config):
            return ()
        faults = Faults()
        for bad in self._known.values():
            faults.add(f"training sample {bad.index + 1}", bad.what, bad.hint)
        kept = self.size - faults.count
        try:
            told = settle_faults(faults, kept, self.data.config, what="training samples", where=self.data.id)
        except DataError as error:
            share = math.ceil(100 * faults.count / self.size) / 100
            raise DataError(error.message, hint=f"{error.hint}: {self.resume} max_bad={share:g}") from None
        return tuple(f"{notice}; others took their places" for notice in told)

    def found(self) -> list[list[Any]]:
        """The bad samples for a checkpoint."""
        return [list(bad) for bad in self._known.values()]

    def take_up(self, found: Sequence[Sequence[Any]]) -> None:
        """Go on from what a checkpoint holds."""
        self._add(found)

    def _add(self, found: Iterable[Any]) -> None:
        for index, what, hint in found:
            self._known.setdefault(int(index), Bad(int(index), what, hint))

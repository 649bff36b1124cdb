"""Figures of a run as a table that any spreadsheet opens."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from zoo_core.contract.config import Config
from zoo_core.contract.events import Logger, RunStarted, StepLogged
from zoo_core.storage import fs
from zoo_core.storage.paths import expanded


class CsvConfig(Config):
    """Where the table goes."""

    path: str = "metrics.csv"
    """A file; one that isn't absolute lies in the run's folder."""


class CsvLogger(Logger):
    """A row for each figure: step, kind, name, value. It is written anew with every row, complete or not at all."""

    def __init__(self, config: CsvConfig) -> None:
        self.config = config
        self.rows: list[tuple[int, str, str, str]] = []
        self.path = Path()

    def run_started(self, event: RunStarted) -> None:
        """What was logged up to the step that the run is resumed from stays; what came after it will come again."""
        self.path = Path(event.run.folder) / expanded(self.config.path)
        if event.step and self.path.is_file():
            known = list(csv.reader(io.StringIO(fs.read_bytes(self.path, limit=_MOST).decode())))[1:]
            self.rows = [(int(step), kind, name, value) for step, kind, name, value in known if int(step) <= event.step]
        self._write()

    def step_logged(self, event: StepLogged) -> None:
        """A row for each metric."""
        self.rows += [(event.step, event.kind, name, repr(float(value))) for name, value in event.metrics.items()]
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("step", "kind", "name", "value"), *self.rows])
        fs.write_file(self.path, text.getvalue().encode())


_MOST = 1 << 28

"""Figures of a run as a table that any spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
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
    """A row for each figure: step, kind, name, value."""

    def __init__(self, config: CsvConfig) -> None:
        self.config = config
        self.path = Path()

    def run_started(self, event: RunStarted) -> None:
        """What was logged up to the step that the run is resumed from stays; what came after it will come again."""
        self.path = Path(event.run.folder) / expanded(self.config.path)
        kept: list[Sequence[object]] = []
        if event.step and self.path.is_file():
            known = csv.reader(io.StringIO(fs.read_bytes(self.path, limit=_MOST).decode()))
            # A crash may have left part of the last row.
            kept = [
                row for row in known if len(row) == len(_COLUMNS) and row[0].isdecimal() and int(row[0]) <= event.step
            ]
        fs.write_file(self.path, _text([_COLUMNS, *kept]).encode())

    def step_logged(self, event: StepLogged) -> None:
        """A row for each metric, at the end of the table."""
        for name, value in event.metrics.items():
            fs.append_line(self.path, _text([(event.step, event.kind, name, repr(float(value)))]).rstrip("\n"))


def _text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


_COLUMNS = ("step", "kind", "name", "value")


_MOST = 1 << 28

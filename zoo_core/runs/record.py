"""What the process of the extras tells the run that started it: one line of JSON for each beginning and end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import StoreError
from zoo_core.storage import fs

_LIMIT = 4 << 20
"""Bytes of a record that are read."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a record says so far."""

    lines: int
    """How many there are, which tells that something has happened."""
    current: str
    """What has begun and not ended; empty between two things."""
    done: Mapping[str, Any]
    """What was made, by name: the metrics of a baseline, how many files of a plot."""
    failed: Mapping[str, str]
    """Why it could not be made, by name."""


class Record:
    """The file in a run's folder that both processes know; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self) -> None:
        """Begin anew."""
        fs.write_file(self.path, b"")

    def begin(self, name: str) -> None:
        """Something is about to be made."""
        self._add({"begun": name})

    def end(self, name: str, result: Any) -> None:
        """It was made."""
        self._add({"done": name, "result": result})

    def fail(self, name: str, problem: str) -> None:
        """It could not be made."""
        self._add({"failed": name, "problem": problem})

    def read(self) -> Progress:
        """The record so far; a line that was cut off or is no record is passed over."""
        current, done, failed, count = "", {}, {}, 0
        for row in self._rows():
            count += 1
            if "begun" in row:
                current = str(row["begun"])
            elif "done" in row:
                done[str(row["done"])], current = row.get("result"), ""
            elif "failed" in row:
                failed[str(row["failed"])], current = str(row.get("problem", "")), ""
        return Progress(lines=count, current=current, done=done, failed=failed)

    def _rows(self) -> list[dict[str, Any]]:
        try:
            data = fs.read_bytes(self.path, limit=_LIMIT)
        except StoreError:
            return []
        rows = []
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows

    def _add(self, row: Mapping[str, Any]) -> None:
        fs.append_line(self.path, json.dumps(row))

"""Keeps the files that answers and evaluations hold in a folder of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo_core import fs
from zoo_core.training.task import File

Prediction = dict[str, Any]


def keep_files(answers: Iterable[tuple[str, Prediction]], folder: Path) -> Iterator[tuple[str, Prediction]]:
    """The answers with each `File` in them written below `folder`, as `<number>-<field>.<suffix>`, and its path instead."""
    for number, (item, answer) in enumerate(answers, start=1):
        yield item, {field: _kept(value, folder, f"{number:04d}-{field}") for field, value in answer.items()}


def keep_artifacts(artifacts: Mapping[str, bytes], folder: Path) -> None:
    """Write what an evaluation leaves below `folder`, each under its own name."""
    fs.make_folder(folder)
    for name, data in artifacts.items():
        fs.write_file(folder / name, data)


def _kept(value: Any, folder: Path, stem: str) -> Any:
    if isinstance(value, File):
        path = folder / f"{stem}{value.suffix}"
        fs.make_folder(folder)
        fs.write_file(path, value.data)
        return str(path)
    if isinstance(value, list) and any(isinstance(part, File) for part in value):
        return [_kept(part, folder, f"{stem}-{place:04d}") for place, part in enumerate(value, start=1)]
    return value

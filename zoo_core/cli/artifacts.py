"""What the command line keeps of predictions and evaluations in a folder: the files in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.contract.answers import File, Prediction, is_failure
from zoo_core.storage import fs

OVERVIEW = 64
"""Answers that an overview shows; the others are not held in memory for it."""


class ArtifactWriter:
    """Keeps what the answers of one prediction hold, and what shows them together, in a folder."""

    def __init__(self, folder: Path, overview: Callable[[Sequence[Prediction]], Mapping[str, bytes]]) -> None:
        """`overview` is the task's."""
        self.folder = folder
        self.overview = overview
        self.overviews: list[Path] = []
        """Files that show the answers together, once all of them are kept."""

    def keep(self, answers: Iterable[tuple[Any, Prediction]]) -> Iterator[tuple[Any, Prediction]]:
        """The answers with each `File` in them written as `<number>-<field>.<suffix>`, and its path instead."""
        shown: list[Prediction] = []
        for number, (item, answer) in enumerate(answers, start=1):
            if len(shown) < OVERVIEW and not is_failure(answer):
                shown.append(answer)
            yield item, {name: _kept(value, self.folder, f"{number:04d}-{name}") for name, value in answer.items()}
        together = self.overview(shown) if len(shown) > 1 else {}
        keep_artifacts(together, self.folder)
        self.overviews = [self.folder / name for name in together]


def keep_artifacts(artifacts: Mapping[str, bytes], folder: Path) -> None:
    """Write what an evaluation leaves below `folder`, each under its own name."""
    for name, data in artifacts.items():
        fs.make_folder(folder)
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

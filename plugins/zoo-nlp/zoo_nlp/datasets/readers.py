"""Readers of the user's texts: what is found is checked row by row, split without leaks, and told."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, zip_longest
from pathlib import Path
from typing import Any

from zoo_core import DataError
from zoo_core.data import (
    TABLE_SUFFIXES,
    UNSPLIT,
    WHOLE,
    Faults,
    FirstFault,
    Listed,
    Parts,
    SplitData,
    SplitReader,
    class_names,
    find_files,
    resolve_path,
    row_name,
    scan_lines,
    scan_table,
    settle_faults,
    stated,
    stated_class,
    suffix_of,
    tables_by_split,
)
from zoo_nlp.configs.data import LabelledFiles, ParallelFiles, TextFiles
from zoo_nlp.datasets.catalog import files_of
from zoo_nlp.datasets.near_copies import crossing_notice
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair, texts_of


def read_text(config: TextFiles) -> SplitData:
    """Documents of the user's files as `Text`, with a stretch held out for validation."""
    files = find_files(config.path, (*TABLE_SUFFIXES, ".txt"))
    faults = Faults()
    documents = [document for path in files for document in _documents(path, config, faults)]
    left_out = settle_faults(faults, len(documents), config, what="texts", where=config.path)
    if not documents:
        raise DataError(f"{config.path}: every text is bad: {faults.reasons()}")
    if config.split_rule == "none":
        splits = {WHOLE: documents}
    elif not config.validation:
        splits = {"train": documents}
    else:
        train, validation = hold_out(documents, config.validation, config.seed, where=config.path)
        splits = {"train": train, "validation": validation}
    texts = {split: [Text(part) for part in parts if part.strip()] for split, parts in splits.items()}
    return SplitData(config.path, texts, files_of(files), notices=(*faults.notices, *left_out))


def read_labelled_text(config: LabelledFiles) -> SplitData:
    """Rows of the user's tables as `LabelledText`. Raises `DataError` for bad rows as the policy says, with their lines."""
    return LabelledRows(config).read()


def read_parallel_text(config: ParallelFiles) -> SplitData:
    """Rows of the user's tables, or lines of two aligned files, as `TextPair`."""
    return PairedRows(config).read()


class Rows(SplitReader):
    """Reads tables whose rows are samples."""

    plural = "rows"

    def __init__(self, config: LabelledFiles | ParallelFiles, name: str = "") -> None:
        super().__init__(config, name)
        self.files: list[Path] = []

    @abstractmethod
    def columns(self) -> Mapping[str, str]:
        """Names of the columns by the role that they have."""

    @abstractmethod
    def sample(self, values: Mapping[str, str], classes: Sequence[str]) -> tuple[Any, str]:
        """The sample of a row and its label; `classes` are the file's. Raises ValueError with what is wrong."""

    def find(self, path: str) -> Parts:
        """The rows of tables, split as their names say where nothing else does."""
        files = find_files(path, TABLE_SUFFIXES)
        self.files += files
        tables = tables_by_split(files) if path == self.config.path else {UNSPLIT: files}
        return {split: [row for table in part for row in self._rows(table)] for split, part in tables.items()}

    def _rows(self, table: Path) -> Iterator[Listed]:
        columns = {role: column for role, column in self.columns().items() if column}
        classes = class_names(table, columns.get("label", ""))
        for line, values in scan_table(table, columns, self.faults, self.config):
            where = row_name(table, line)
            try:
                sample, label = self.sample(values, classes)
            except ValueError as error:
                self.faults.add(where, str(error))
            else:
                yield Listed(sample, where, label, values.get("group", ""))

    def key(self, sample: Any) -> str:
        """The text that a model reads."""
        return texts_of(sample, 0)[0]

    def copy_key(self, sample: Any) -> str:
        """The text less its case and spacing."""
        return " ".join(self.key(sample).lower().split())

    def content(self, parts: Parts) -> Callable[[], Iterable[str]]:
        """The files' digests."""
        return files_of(self.files)

    def told_of(self, made: Parts, groups: Sequence[str]) -> tuple[str, ...]:
        """Near-copies that cross, where nothing keeps them together."""
        texts = {split: [self.key(one.sample) for one in rows] for split, rows in made.items()}
        return () if self.config.group_column else crossing_notice(texts)


class LabelledRows(Rows):
    """Reads texts and their classes."""

    def columns(self) -> Mapping[str, str]:
        """Text and label."""
        config = self.config
        return {"text": config.text_column, "label": config.label_column, "group": config.group_column}

    def sample(self, values: Mapping[str, str], classes: Sequence[str]) -> tuple[LabelledText, str]:
        """The text and the name of its class."""
        text = stated("text", values["text"], self.config.missing)
        label = stated_class(values["label"], classes, self.config.missing)
        return LabelledText(text, label), label


class PairedRows(Rows):
    """Reads pairs of texts, from tables or from two files whose lines belong together."""

    def columns(self) -> Mapping[str, str]:
        """Source and target."""
        config = self.config
        return {"source": config.source_column, "target": config.target_column, "group": config.group_column}

    def sample(self, values: Mapping[str, str], classes: Sequence[str]) -> tuple[TextPair, str]:
        """Both texts; there is no label."""
        source, target = (stated(role, values[role], self.config.missing) for role in ("source", "target"))
        return TextPair(source, target), ""

    def found(self) -> Parts:
        """What the configuration's paths have."""
        if not self.config.source_path:
            return super().found()
        self.files = source, target = [resolve_path(self.config.source_path), resolve_path(self.config.target_path)]
        return {UNSPLIT: list(_aligned(source, target, self.config, self.faults))}


def hold_out(documents: Sequence[str], share: float, seed: int, *, where: str) -> tuple[list[str], list[str]]:
    """Training and validation text: one stretch of about `share` of the characters is held out.

    The stretch starts where `seed` says. It consists of whole documents if each is shorter than the stretch is to be,
    of whole lines otherwise, of words where there is one line. Raises `DataError` for a single character.
    """
    whole = max(map(len, documents)) <= share * sum(map(len, documents))
    pieces = [
        (number, piece)
        for number, document in enumerate(documents)
        for piece in ([document] if whole else document.splitlines(keepends=True))
    ]
    if len(pieces) < 2:
        pieces = [(0, piece) for piece in _words(documents[0])]
    if len(pieces) < 2:
        raise DataError(f"{where}: one character only, nothing to hold out", hint="give more text, or validation: 0")
    ends = list(accumulate(len(piece) for _, piece in pieces))
    start = bisect_left(ends, random.Random(seed).random() * (1 - share) * ends[-1])
    end = bisect_left(ends, ends[start] + share * ends[-1] - len(pieces[start][1]))
    end = min(max(end + 1, start + 1), len(pieces) - (start == 0))
    held = range(start, end)
    cut = [(number, place in held, place >= end, piece) for place, (number, piece) in enumerate(pieces)]
    grouped = [(key[1], "".join(piece for *_, piece in group)) for key, group in groupby(cut, lambda item: item[:3])]
    return [text for kept, text in grouped if not kept], [text for kept, text in grouped if kept]


def _words(line: str) -> list[str]:
    """A line in pieces that join to it: its words, or about a thousand of equal length where it has no blanks."""
    if len(line.strip()) < 2:
        return [line]
    words = re.split(r"(?<=\s)(?=\S)", line)
    size = max(1, len(line) // 1000)
    return words if len(words) > 1 else [line[start : start + size] for start in range(0, len(line), size)]


def _documents(path: Path, config: TextFiles, faults: Faults) -> Iterator[str]:
    if suffix_of(path) in TABLE_SUFFIXES:
        for row in scan_table(path, {"text": config.text_column}, faults, config):
            try:
                yield stated("text", row.values["text"], config.missing)
            except ValueError as error:
                faults.add(row_name(path, row.line), str(error))
        return
    document = "".join(f"{line}\n" for line in scan_lines(path, faults, config.encoding))
    if document.strip():
        yield document
    else:
        faults.add(str(path), "the text is empty")


def _aligned(source: Path, target: Path, config: ParallelFiles, faults: Faults) -> Iterator[Listed]:
    """Pairs of lines; a line that is blank in both files is passed over."""
    strict = FirstFault()  # a line less in one file would shift all that follow
    sides = [scan_lines(path, strict, config.encoding) for path in (source, target)]
    empty = True
    for number, (left, right) in enumerate(zip_longest(*sides), start=1):
        if left is None or right is None:
            short = source if left is None else target
            raise DataError(f"{short}: ends after line {number - 1}, the other file goes on")
        if not left.strip() and not right.strip():
            continue
        empty = False
        if left.strip() and right.strip():
            yield Listed(TextPair(left, right), f"{source}:{number}")
        else:
            path, side = (target, "target") if left.strip() else (source, "source")
            faults.add(f"{path}:{number}", f"the {side} is empty")
    for notice in strict.notices:
        faults.note(notice)
    if empty:
        raise DataError(f"{source}: no lines")

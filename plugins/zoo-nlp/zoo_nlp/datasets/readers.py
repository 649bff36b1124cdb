"""Readers of the user's texts: what is found is checked row by row, split without leaks, and told."""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core import DataError
from zoo_core.data import (
    TABLE_SUFFIXES,
    WHOLE,
    BadRows,
    Faults,
    FirstFault,
    class_names,
    class_notices,
    class_of,
    find_files,
    joined_groups,
    label_name,
    listed_twice,
    lookalikes,
    make_splits,
    resolve_path,
    row_name,
    scan_lines,
    scan_table,
    settle_faults,
    sorted_labels,
    stated,
    suffix_of,
    tables_by_split,
)
from zoo_nlp.configs.data import LabelledFiles, ParallelFiles, TextFiles
from zoo_nlp.datasets.catalog import TextData, subset
from zoo_nlp.datasets.near_copies import crossing_notice
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair


class Found(NamedTuple):
    """A sample, where it was found, and what it must share a split with."""

    where: str
    sample: Any
    group: str


def read_text(config: TextFiles) -> TextData:
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
    return TextData(config.path, texts, files, notices=(*faults.notices, *left_out))


def read_labelled_text(config: LabelledFiles) -> TextData:
    """Rows of the user's tables as `LabelledText`. Raises `DataError` for bad rows as the policy says, with their lines."""
    name = config.path or config.train
    faults = Faults()
    parts, files = _parts(config, lambda path: _labelled_rows(path, config, faults))
    left_out = _settled(parts, faults, config, name)
    found = [row for rows in parts.values() for row in rows]
    labels = config.labels or sorted_labels(row.sample.label for row in found)
    if len(labels) < 2 and config.split_rule != "none":
        raise DataError(f"{name}: every label is {labels[0]!r}; two are needed to tell apart")
    splits, told = _split(parts, config, config.group_column, [row.sample.label for row in found])
    copies: dict[str, list[tuple[str, str]]] = {}
    for row in found:
        copies.setdefault(_content(row.sample), []).append((row.where, row.sample.label))
    counts = class_notices({split: [sample.label for sample in samples] for split, samples in splits.items()})
    if "train" in splits:
        splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    notices = (*left_out, *lookalikes(labels), *listed_twice(copies), *counts, *told)
    return TextData(name, splits, files, labels, notices=notices)


def read_parallel_text(config: ParallelFiles) -> TextData:
    """Rows of the user's tables, or lines of two aligned files, as `TextPair`."""
    name = config.path or config.train or config.source_path
    faults = Faults()
    if config.source_path:
        source, target = resolve_path(config.source_path), resolve_path(config.target_path)
        parts, files = {"": list(_aligned(source, target, config, faults))}, [source, target]
    else:
        parts, files = _parts(config, lambda path: _pair_rows(path, config, faults))
    left_out = _settled(parts, faults, config, name)
    splits, told = _split(parts, config, config.group_column, ())
    return TextData(name, splits, files, notices=(*left_out, *told))


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


def _parts(
    config: LabelledFiles | ParallelFiles, rows: Callable[[Path], Iterator[Found]]
) -> tuple[dict[str, list[Found]], list[Path]]:
    """What is found by split, "" being what is to be split, and the files it came from."""
    named = {"": config.path, "train": config.train, "validation": config.validation, "test": config.test}
    files = {split: find_files(path, TABLE_SUFFIXES) for split, path in named.items() if path}
    if config.path:
        files = tables_by_split(files[""])
    parts = {split: [row for path in paths for row in rows(path)] for split, paths in files.items()}
    return parts, [path for paths in files.values() for path in paths]


def _settled(parts: Mapping[str, list[Found]], faults: Faults, config: BadRows, name: str) -> tuple[str, ...]:
    """Notices of what was read and left out. Raises `DataError` as the policy says, and where nothing is left."""
    left_out = settle_faults(faults, sum(map(len, parts.values())), config, what="rows", where=name)
    for split, rows in parts.items():
        if not rows:
            raise DataError(f"{name}: no rows{f' in {split}' if split else ''} are left: {faults.reasons()}")
    return (*faults.notices, *left_out)


def _split(
    parts: Mapping[str, list[Found]], config: LabelledFiles | ParallelFiles, group_column: str, labels: Sequence[str]
) -> tuple[dict[str, Sequence[Any]], tuple[str, ...]]:
    """Samples by split: as given, the missing ones made by the rule, and what there is to tell of those made."""
    given: dict[str, Sequence[Any]] = {split: [row.sample for row in rows] for split, rows in parts.items() if split}
    if "validation" in given or (given and config.split_rule == "none"):
        return given, ()
    whole = parts.get("") or parts["train"]
    test = 0.0 if given else config.test_fraction
    units = joined_groups([_content(row.sample) for row in whole], [row.group for row in whole])
    places = make_splits(units, config, config.validation_fraction, test, labels=labels[: len(whole)])
    made: dict[str, Sequence[Any]] = {
        split: [whole[place].sample for place in numbers] for split, numbers in places.items()
    }
    told = () if group_column else crossing_notice({split: list(map(_text, found)) for split, found in made.items()})
    return {**made, **{split: found for split, found in given.items() if split != "train"}}, told


def _text(sample: Any) -> str:
    return str(sample.source if isinstance(sample, TextPair) else sample.text)


def _content(sample: Any) -> str:
    """The text less its case and spacing, so that a copy never crosses."""
    return " ".join(_text(sample).lower().split())


def _labelled_rows(path: Path, config: LabelledFiles, faults: Faults) -> Iterator[Found]:
    columns = {"text": config.text_column, "label": config.label_column}
    if config.group_column:
        columns["group"] = config.group_column
    names = class_names(path, config.label_column)
    for row in scan_table(path, columns, faults, config):
        where = row_name(path, row.line)
        try:
            text = stated("text", row.values["text"], config.missing)
            label = class_of(label_name(stated("label", row.values["label"], config.missing)), names)
        except ValueError as error:
            faults.add(where, str(error))
            continue
        if config.labels and label not in config.labels:
            faults.add(where, f"label {label!r} is not one of {', '.join(config.labels)}")
        else:
            yield Found(where, LabelledText(text, label), row.values.get("group", ""))


def _pair_rows(path: Path, config: ParallelFiles, faults: Faults) -> Iterator[Found]:
    columns = {"source": config.source_column, "target": config.target_column}
    if config.group_column:
        columns["group"] = config.group_column
    for row in scan_table(path, columns, faults, config):
        where = row_name(path, row.line)
        try:
            source, target = (stated(role, row.values[role], config.missing) for role in ("source", "target"))
        except ValueError as error:
            faults.add(where, str(error))
        else:
            yield Found(where, TextPair(source, target), row.values.get("group", ""))


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


def _aligned(source: Path, target: Path, config: ParallelFiles, faults: Faults) -> Iterator[Found]:
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
            yield Found(f"{source}:{number}", TextPair(left, right), "")
        else:
            path, side = (target, "target") if left.strip() else (source, "source")
            faults.add(f"{path}:{number}", f"the {side} is empty")
    for notice in strict.notices:
        faults.note(notice)
    if empty:
        raise DataError(f"{source}: no lines")

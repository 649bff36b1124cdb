"""Readers of the user's recordings: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from zoo_core.errors import DataError, printable
from zoo_core.inputs import place_of
from zoo_core.splits import in_order
from zoo_core.tables import check_file, suffix_of, tables_by_split
from zoo_speech.audio import check_audio, read_audio
from zoo_speech.containers import SUFFIXES
from zoo_speech.data import Row, SpeechData, by_hash, labelled, recording, subset, utterance
from zoo_speech.data_configs import LabelledRecordings, Recordings, TranscribedRecordings
from zoo_speech.folders import (
    Problem,
    class_folders,
    recordings_below,
    recordings_of,
    tables_of,
    transcripts,
)
from zoo_speech.manifests import read_manifests

WHOLE = ""
"""The name of what has no splits of its own."""


class Policy(Protocol):
    """What a configuration says about bad recordings."""

    @property
    def bad(self) -> str:
        """`error` or `skip`."""

    @property
    def max_bad(self) -> float:
        """Share up to which `skip` goes on."""


class Places(Policy, Protocol):
    """What a configuration says about where recordings are and how they are split, besides."""

    @property
    def path(self) -> str:
        """What is to be split."""

    @property
    def train(self) -> str:
        """The training split instead."""

    @property
    def validation(self) -> str:
        """The validation split."""

    @property
    def test(self) -> str:
        """The test split."""

    @property
    def split(self) -> str:
        """`speaker`, `label` or `recording`."""

    @property
    def validation_fraction(self) -> float:
        """Share of the validation split where it is made by hash."""

    @property
    def test_fraction(self) -> float:
        """Share of the test split where it is made by hash."""

    @property
    def train_samples(self) -> int | None:
        """Size of the training split, if it is to be smaller."""

    @property
    def subset_seed(self) -> int:
        """Chooses the smaller one's samples."""


class Found(NamedTuple):
    """What a folder or table has: rows, and what can't be one."""

    rows: list[Row]
    problems: list[Problem]
    notices: tuple[str, ...] = ()


def read_recordings(config: Recordings) -> SpeechData:
    """Recordings of the user's files as `Recording`, with a share held out for validation."""
    columns = {"audio": config.audio_column}
    if tables := tables_of(config.path):
        found = Found(*read_manifests(tables, columns, config.root))
    elif files := recordings_of(config.path):
        found = Found([Row(file, str(file)) for file in files], [])
    else:
        rows, told = recordings_below(_folder(config.path))
        found = Found(rows, [], told)
    checked, notices = check({WHOLE: found}, config, lambda row: "", where=config.path)
    splits = by_hash(checked[WHOLE], [""] * len(checked[WHOLE]), config.validation, 0.0)
    return SpeechData(config.path, splits, recording, read=[checked[WHOLE]], notices=notices)


def read_transcribed_recordings(config: TranscribedRecordings) -> SpeechData:
    """Recordings of the user's files as `Utterance`. Raises `DataError`, naming file and line, for rows without a text."""
    columns = {
        "audio": config.audio_column,
        "text": config.text_column,
        "speaker": config.speaker_column,
        "language": config.language_column,
    }

    def read(path: str) -> dict[str, Found]:
        return _found(path, lambda tables: read_manifests(tables, columns, config.root), transcripts)

    def spoken(found: Found) -> Found:
        return found._replace(rows=[row._replace(language=row.language or config.language) for row in found.rows])

    splits = {split: spoken(found) for split, found in _splits(config, read).items()}
    name = config.path or config.train
    checked, notices = check(splits, config, lambda row: "" if row.text else "the text is empty", where=name)
    made, told = _made(checked, config, name)
    return SpeechData(name, made, utterance, read=checked.values(), notices=notices + told)


def read_labelled_recordings(config: LabelledRecordings) -> SpeechData:
    """Recordings of the user's files as `LabelledRecording`. Raises `DataError`, naming the row, for unknown labels."""
    columns = {"audio": config.audio_column, "label": config.label_column, "speaker": config.speaker_column}

    def read(path: str) -> dict[str, Found]:
        return _found(path, lambda tables: read_manifests(tables, columns, config.root), class_folders)

    def problem(row: Row) -> str:
        if not row.label:
            return "the label is empty"
        if config.labels and row.label not in config.labels:
            raise DataError(f"{row.name}: label {row.label!r} is not one of {', '.join(config.labels)}")
        return ""

    name = config.path or config.train
    checked, notices = check(_splits(config, read), config, problem, where=name)
    labels = config.labels or in_order(row.label for rows in checked.values() for row in rows)
    if len(labels) < 2:
        raise DataError(f"{name}: every label is {labels[0]!r}; two are needed to tell apart")
    made, told = _made(checked, config, name)
    # Labels of which some are trained on and others tested have no common numbers.
    numbered = () if config.split == "label" else labels
    return SpeechData(name, made, labelled, numbered, read=checked.values(), notices=notices + told)


def check(
    splits: Mapping[str, Found], policy: Policy, problem: Callable[[Row], str], *, where: str
) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """The rows of the splits without the bad ones, and what was left out.

    `problem` says what is wrong with a row before it is looked at, or nothing. With `bad: error` every header is read,
    with `bad: skip` every recording decoded. Raises `DataError` for a bad row, or for more of them than `max_bad` allows.
    """
    kept: dict[str, list[Row]] = {}
    bad: list[Problem] = []
    for split, found in splits.items():
        bad += found.problems
        kept[split] = []
        for row in found.rows:
            told = problem(row)
            if fault := Problem(row.name, told) if told else _sound_problem(row, policy.bad):
                bad.append(fault)
            else:
                kept[split].append(row)
    notices = tuple(notice for found in splits.values() for notice in found.notices)
    total = len(bad) + sum(map(len, kept.values()))
    if bad and policy.bad == "error":
        counts = f"{len(bad):,} of {total:,} recordings are bad"
        hint = "\n".join(filter(None, (bad[0].hint, "bad: skip leaves bad ones out, up to the share max_bad")))
        raise DataError(f"{bad[0]} ({counts})", hint=hint)
    if len(bad) > policy.max_bad * total:
        share = f"more than the share of {policy.max_bad} that max_bad allows"
        raise DataError(f"{bad[0]} ({len(bad):,} of {total:,} recordings are bad, {share})", hint=bad[0].hint)
    if bad:
        first = printable(str(bad[0]))
        notices += (f"{len(bad):,} of {total:,} recordings of {printable(where)} left out (first: {first})",)
    for split, rows in kept.items():
        if not rows:
            raise DataError(f"{where}: no recordings{f' in {split}' if split else ''}")
    return kept, notices


def _sound_problem(row: Row, bad: str) -> Problem | None:
    try:
        (check_audio if bad == "error" else read_audio)(row.source(), name=row.name)
    except DataError as error:
        return Problem(row.name, error.message.removeprefix(f"{row.name}: "), error.hint)
    return None


def _found(
    path: str,
    read_tables: Callable[[Sequence[Path]], tuple[list[Row], list[Problem]]],
    read_folders: Callable[[Path], tuple[dict[str, tuple[list[Row], list[Problem]]], tuple[str, ...]]],
) -> dict[str, Found]:
    """What a path has, by the splits of its own or as `WHOLE`."""
    if tables := tables_of(path):
        return {split: Found(*read_tables(part)) for split, part in tables_by_split(tables).items()}
    parts, notices = read_folders(_folder(path))
    found = {split: Found(*part) for split, part in parts.items()}
    split, first = next(iter(found.items()))
    return {**found, split: first._replace(notices=notices)}


def _splits(config: Places, read: Callable[[str], dict[str, Found]]) -> dict[str, Found]:
    """What the paths of a configuration have, by split; `WHOLE` is to be split."""
    if config.path:
        return read(config.path)
    splits = {}
    for split, path in (("train", config.train), ("validation", config.validation), ("test", config.test)):
        if path:
            parts = read(path)
            if set(parts) != {WHOLE}:
                raise DataError(f"{path}: it has splits of its own", hint="give it as path, not as train")
            splits[split] = parts[WHOLE]
    return splits


def _made(checked: Mapping[str, list[Row]], config: Places, name: str) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """All the splits: those given, the missing ones made by hash, the training split cut to size."""
    given = {split: rows for split, rows in checked.items() if split != WHOLE}
    notices: tuple[str, ...] = ()
    splits = given
    if "validation" not in given:
        rows = checked.get(WHOLE) or checked["train"]
        groups = [{"speaker": row.speaker, "label": row.label}.get(config.split, "") for row in rows]
        if unknown := groups.count(""):  # a speaker who is sometimes named could be on both sides
            if any(groups):
                notices = (f"{unknown:,} of {len(rows):,} recordings without a speaker: split by recording",)
            groups = [""] * len(rows)
        made = by_hash(rows, groups, config.validation_fraction, 0.0 if given else config.test_fraction)
        _refuse_empty(made, groups, config.split, name)
        splits = {**made, **{split: given[split] for split in given if split != "train"}}
        if any(groups):
            notices = (_shared(made, config.split),)
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return {**splits, "train": train}, notices


def _refuse_empty(made: Mapping[str, Sequence[Row]], groups: Sequence[str], by: str, name: str) -> None:
    """Raise `DataError` for a split that nothing came into, before anybody trains for it."""
    empty = next((split for split, rows in made.items() if not rows), "")
    if not empty:
        return
    names = set(filter(None, groups))
    what, count = (by, len(names)) if names else ("recording", len(groups))
    ways = ["data.split=recording splits by recording"] if names and by == "speaker" else []
    if empty != "train":
        ways.append(f"data.{empty}_fraction=0 does without it")
    shared = f"{count:,} {what}{'s' * (count != 1)} for {len(made)} splits"
    raise DataError(f"{name}: split {empty!r} is empty: {shared}", hint="; ".join(ways) or "give more data")


def _shared(splits: Mapping[str, Sequence[Row]], by: str) -> str:
    counts = (f"{len({getattr(row, by) for row in rows}):,} in {split}" for split, rows in splits.items())
    return f"split by {by}: {', '.join(counts)}"


def _folder(path: str) -> Path:
    place = place_of(path)
    if place.is_dir():
        return place
    check_file(place)
    kinds = f"recordings end in {', '.join(SUFFIXES)}" if suffix_of(place) else ""
    raise DataError(
        f"{path}: neither a folder nor a table", hint=f"tables end in .csv, .tsv, .jsonl or .parquet; {kinds}"
    )

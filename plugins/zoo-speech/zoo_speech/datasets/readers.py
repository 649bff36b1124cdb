"""Readers of the user's recordings: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from zoo_core import DataError
from zoo_core.data import (
    Fault,
    Faults,
    Policy,
    SplitOptions,
    check_file,
    class_notices,
    lookalikes,
    resolve_path,
    settle_faults,
    sorted_labels,
    suffix_of,
    tables_by_split,
)
from zoo_speech.audio.audio import check_audio, read_audio
from zoo_speech.audio.containers import SUFFIXES
from zoo_speech.configs.data import LabelledRecordings, Recordings, TranscribedRecordings
from zoo_speech.datasets.catalog import Row, SpeechData, divided, labelled, recording, subset, utterance
from zoo_speech.datasets.folders import class_folders, recordings_below, recordings_of, tables_of, transcripts
from zoo_speech.datasets.manifests import read_manifests

WHOLE = ""
"""The name of what has no splits of its own."""


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
    def split_rule(self) -> Literal["hash", "stratified", "none"]:
        """How splits are made."""

    @property
    def split_seed(self) -> int:
        """Chooses among those that the rule can make."""

    @property
    def validation_fraction(self) -> float:
        """Share of the validation split where it is made."""

    @property
    def test_fraction(self) -> float:
        """Share of the test split where it is made."""

    @property
    def train_samples(self) -> int | None:
        """Size of the training split, if it is to be smaller."""

    @property
    def subset_seed(self) -> int:
        """Chooses the smaller one's samples."""


class Found(NamedTuple):
    """What a folder or table has: rows, and what can't be one."""

    rows: list[Row]
    problems: list[Fault]
    notices: tuple[str, ...] = ()


def read_recordings(config: Recordings) -> SpeechData:
    """Recordings of the user's files as `Recording`, with a share held out for validation."""
    columns = {"audio": config.audio_column}
    if tables := tables_of(config.path):
        found = Found(*read_manifests(tables, columns, config.root, config))
    elif files := recordings_of(config.path):
        found = Found([Row(file, str(file)) for file in files], [])
    else:
        rows, told = recordings_below(_folder(config.path))
        found = Found(rows, [], told)
    checked, notices = check({WHOLE: found}, config, lambda row: "", where=config.path)
    splits = divided(checked[WHOLE], [""] * len(checked[WHOLE]), config, config.validation, 0.0)
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
        return _found(path, lambda tables: read_manifests(tables, columns, config.root, config), transcripts)

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
        return _found(path, lambda tables: read_manifests(tables, columns, config.root, config), class_folders)

    def problem(row: Row) -> str:
        if not row.label:
            return "the label is empty"
        unknown = config.labels and row.label not in config.labels
        return f"label {row.label!r} is not one of {', '.join(config.labels)}" if unknown else ""

    name = config.path or config.train
    checked, notices = check(_splits(config, read), config, problem, where=name)
    labels = config.labels or sorted_labels(row.label for rows in checked.values() for row in rows)
    if len(labels) < 2 and config.split_rule != "none":
        raise DataError(f"{name}: every label is {labels[0]!r}; two are needed to tell apart")
    made, told = _made(checked, config, name)
    # Labels of which some are trained on and others tested have no common numbers.
    numbered = () if config.split == "label" else labels
    given = set(made) <= set(checked)
    counts = () if given else class_notices({split: [row.label for row in rows] for split, rows in made.items()})
    told = (*notices, *told, *counts, *lookalikes(labels))
    return SpeechData(name, made, labelled, numbered, read=checked.values(), notices=told)


def check(
    splits: Mapping[str, Found], policy: Policy, problem: Callable[[Row], str], *, where: str
) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """The rows of the splits without the bad ones, and what was left out.

    `problem` says what is wrong with a row before it is looked at, or nothing. With `bad: error` every header is read,
    with `bad: skip` every recording decoded. Raises `DataError` for a bad row, or for more of them than `max_bad` allows.
    """
    kept: dict[str, list[Row]] = {}
    faults = Faults()
    for split, found in splits.items():
        for known in found.problems:
            faults.add(*known)
        kept[split] = []
        for row in found.rows:
            told = problem(row)
            if fault := Fault(row.name, told) if told else _sound_problem(row, policy.bad):
                faults.add(*fault)
            else:
                kept[split].append(row)
    notices = tuple(notice for found in splits.values() for notice in found.notices)
    notices += settle_faults(faults, sum(map(len, kept.values())), policy, what="recordings", where=where)
    for split, rows in kept.items():
        if not rows:
            raise DataError(f"{where}: no recordings{f' in {split}' if split else ''}")
    return kept, notices


def _sound_problem(row: Row, bad: str) -> Fault | None:
    try:
        seconds = (check_audio if bad == "error" else read_audio)(row.source(), name=row.name).seconds
        if row.part is None:
            return None
        if seconds is None:  # the header doesn't tell
            seconds = read_audio(row.source(), name=row.name).seconds
        message, hint = row.part.fault(seconds)
        return Fault(row.name, message, hint) if message else None
    except DataError as error:
        return Fault(row.name, error.message.removeprefix(f"{row.name}: "), error.hint)


def _found(
    path: str,
    read_tables: Callable[[Sequence[Path]], tuple[list[Row], list[Fault], tuple[str, ...]]],
    read_folders: Callable[[Path], tuple[dict[str, tuple[list[Row], list[Fault]]], tuple[str, ...]]],
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
    if "validation" not in given and (not given or config.split_rule != "none"):
        rows = checked.get(WHOLE) or checked["train"]
        groups = [{"speaker": row.speaker, "label": row.label}.get(config.split, "") for row in rows]
        if unknown := groups.count(""):  # a speaker who is sometimes named could be on both sides
            if any(groups):
                notices = (f"{unknown:,} of {len(rows):,} recordings without a speaker: split by recording",)
            groups = [""] * len(rows)
        shares = (config.validation_fraction, 0.0 if given else config.test_fraction)
        options = SplitOptions(split_rule=config.split_rule, split_seed=config.split_seed)
        labels = [] if config.split == "label" else [row.label for row in rows]
        made = divided(rows, groups, options, *shares, labels)
        _refuse_empty(made, groups, config.split, name)
        splits = {**made, **{split: given[split] for split in given if split != "train"}}
        if any(groups):
            notices = (_shared(made, config.split),)
    if "train" not in splits:
        return splits, notices
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
    place = resolve_path(path)
    if place.is_dir():
        return place
    check_file(place)
    kinds = f"recordings end in {', '.join(SUFFIXES)}" if suffix_of(place) else ""
    raise DataError(
        f"{path}: neither a folder nor a table", hint=f"tables end in .csv, .tsv, .jsonl or .parquet; {kinds}"
    )

"""Speech data: samples by split, how splits are made without leaks, and the named data sets as they lie prepared."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from zoo_core import DataError, StoreError, UnknownName
from zoo_core.contract import Data
from zoo_core.data import (
    SPLITS,
    PreparedFiles,
    SplitOptions,
    empty_split,
    fs,
    joined_groups,
    make_splits,
    sorted_labels,
    subset_by_hash,
)
from zoo_speech.audio.audio import Limits
from zoo_speech.configs.data import SpokenLanguage, Subset
from zoo_speech.datasets.excerpts import Excerpt
from zoo_speech.datasets.languages import language_code
from zoo_speech.datasets.samples import LabelledRecording, Recording, Utterance
from zoo_speech.datasets.sources import ARCHIVE


class Row(NamedTuple):
    """A recording that nobody has opened, and what is known of it."""

    file: Path
    """The file that it is or lies in."""
    name: str
    """What messages call it; its ending is the file's."""
    start: int = 0
    """First byte in the file."""
    size: int = -1
    """Bytes; -1: all of them."""
    sha256: str = ""
    """Of its bytes, where it is known already."""
    data: bytes = b""
    """Its bytes, where they come from a table."""
    text: str = ""
    speaker: str = ""
    language: str = ""
    label: str = ""
    part: Excerpt | None = None
    """What of it is meant; None for all."""

    def source(self) -> Path | bytes:
        """What `Recording` is made from. Raises `DataError` where the file that it lies in has been cut short."""
        if self.data or self.size < 0:
            return self.data or self.file
        try:
            with self.file.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.file}: can't be read: {error.strerror}") from None
        if len(data) != self.size:
            raise DataError(f"{self.file}: it ends within {self.name}", hint="fetch the data set again")
        return data

    def key(self) -> str:
        """sha256 of its bytes in hex. Raises `DataError` for a file that can't be read."""
        if self.sha256 or self.data:
            return self.sha256 or fs.digest_of(self.data)
        try:
            return fs.digest_file(self.file.resolve(), limit=Limits().max_bytes)[0]
        except (StoreError, OSError, RuntimeError) as error:  # a loop of links is one or the other of the last two
            raise DataError(f"{self.name}: can't be read: {error}") from None


def recording(row: Row) -> Recording:
    """The sample of a row without labels."""
    return Recording(row.source(), name=row.name, part=row.part)


def utterance(row: Row) -> Utterance:
    """The sample of a row with a text."""
    return Utterance(row.source(), row.text, speaker=row.speaker, language=row.language, name=row.name, part=row.part)


def labelled(row: Row) -> LabelledRecording:
    """The sample of a row with a label."""
    return LabelledRecording(row.source(), row.label, language=row.language, name=row.name, part=row.part)


class Samples(Sequence[Recording]):
    """Samples in a fixed order, made when they are asked for."""

    def __init__(self, rows: Sequence[Row], make: Callable[[Row], Recording]) -> None:
        """`make` is one of the functions above."""
        self.rows = rows
        self._make = make

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Recording: ...
    @overload
    def __getitem__(self, place: slice) -> Samples: ...
    def __getitem__(self, place: int | slice) -> Recording | Samples:
        return Samples(self.rows[place], self._make) if isinstance(place, slice) else self._make(self.rows[place])


class SpeechData(Data):
    """Recordings by split; none is decoded before it is asked for."""

    def __init__(
        self,
        name: str,
        splits: Mapping[str, Sequence[Row]],
        make: Callable[[Row], Recording],
        labels: Sequence[str] = (),
        *,
        read: Iterable[Sequence[Row]] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        """`name` is for messages; `read` is what the digest runs over, the splits by default."""
        self.name = name
        self.labels = tuple(labels)
        self.notices = tuple(notices)
        """What the user should know before a run: recordings left out, and why."""
        self._splits = {split: Samples(rows, make) for split, rows in splits.items()}
        self._read = [list(rows) for rows in (splits.values() if read is None else read)]
        self._digest = ""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has."""
        return tuple(self._splits)

    def samples(self, split: str) -> Samples:
        """The samples of a split. Raises `UnknownName` where there is none, `DataError` where it is empty."""
        if split not in self._splits:
            raise UnknownName("split", split, self._splits, where=self.name)
        if not len(self._splits[split]):
            raise empty_split(self.name, split)
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over sha256, text, speaker, language and label of all that was read, before any subset was drawn."""
        if not self._digest:
            sha256 = hashlib.sha256()
            for rows in self._read:
                for row in rows:
                    told: list[Any] = [row.key(), row.text, row.speaker, row.language, row.label]
                    told += [[row.part.begin, row.part.end]] if row.part and not row.part.whole else []
                    sha256.update((json.dumps(told) + "\n").encode())
                sha256.update(b"\n")
            self._digest = sha256.hexdigest()
        return self._digest


def divided(
    rows: Sequence[Row],
    groups: Sequence[str],
    options: SplitOptions,
    validation: float,
    test: float,
    labels: Sequence[str] = (),
) -> dict[str, list[Row]]:
    """Splits by the rule of `options`; rows of one group, and rows that are copies, share one."""
    units = joined_groups([row.key() for row in rows], groups)
    places = make_splits(units, options, validation, test, labels=labels)
    return {split: [rows[place] for place in numbers] for split, numbers in places.items()}


def subset(rows: Sequence[Row], count: int | None, seed: int, *, where: str) -> list[Row]:
    """The first `count` rows in an order that `seed` and their content decide. Raises `DataError` if there are fewer."""
    if count is None:
        return list(rows)
    return [rows[place] for place in subset_by_hash([row.key() for row in rows], count, seed, where=where)]


# ---- the named data sets


def read_transcribed(config: Subset, prepared: PreparedFiles) -> SpeechData:
    """Recordings with what is said in them; those whose text isn't known are left out."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in rows if row.text] for split, rows in found.items()}
    left = sum(map(len, found.values())) - sum(map(len, splits.values()))
    notice = f"{prepared.name}: {left:,} recordings left out whose text isn't known or not written as it is spoken"
    return subset_of(prepared.name, splits, utterance, config, notices=[notice] if left else ())


def read_languages(config: Subset, prepared: PreparedFiles) -> SpeechData:
    """Recordings labelled by their language."""
    splits = {split: _by_language(rows) for split, rows in prepared_rows(prepared, config.languages).items()}
    return _labelled(prepared.name, splits, config)


def read_mix(config: Subset, prepared: PreparedFiles) -> SpeechData:
    """Every recording of the training and validation splits, and none of the test splits."""
    splits = prepared_rows(prepared, config.languages)
    left = f"{prepared.name}: the {len(splits.pop('test')):,} recordings of the test splits are left out"
    return subset_of(prepared.name, splits, recording, config, notices=[left])


def read_spoken_language(config: SpokenLanguage, prepared: PreparedFiles) -> SpeechData:
    """The recordings of words and sentences, labelled by their language."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in _by_language(rows) if _source(row) != "klettres"] for split, rows in found.items()}
    if config.test != "recordings":
        splits = {"prompts": _prompts_apart, "voices": _other_voices}[config.test](splits)
    counts = Counter(row.label for row in splits["train"])
    tested = {row.label for row in splits["test"]}
    kept = {label for label in counts if counts[label] >= config.fewest and label in tested}
    left = sorted({row.label for rows in splits.values() for row in rows} - kept)
    why = "too few recordings" if config.test == "recordings" else "too few recordings, or none by other voices"
    notices = [f"{prepared.name}: left out for {why}: {', '.join(left)}"] if left else []
    splits = {split: [row for row in rows if row.label in kept] for split, rows in splits.items()}
    return _labelled(prepared.name, splits, config, notices)


def read_spelled(config: Subset, prepared: PreparedFiles, labels: str) -> SpeechData:
    """The recordings of single digits or letters: those that `labels` consists of."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in rows if row.label in set(labels)] for split, rows in found.items()}
    return _labelled(prepared.name, splits, config)


def prepared_rows(prepared: PreparedFiles, languages: Sequence[str] = ()) -> dict[str, list[Row]]:
    """The recordings of prepared files by split, in these languages, by code or name, in all by default."""
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    columns = ("name", "start", "size", "text", "speaker", "language", "label", "sha256")
    for file, path in prepared.files.items():
        part, split = path.parent.name, path.stem
        for row in prepared.rows(file, *columns) if split in splits else ():
            name, start, size = f"{part}/{row['name']}", int(row["start"]), int(row["size"])
            known = Row(path.with_name(ARCHIVE), name, start, size, row["sha256"], text=row["text"], label=row["label"])
            splits[split].append(known._replace(speaker=row["speaker"], language=row["language"]))
    return of_languages(splits, languages, where=prepared.name)


def of_languages(splits: Mapping[str, list[Row]], languages: Sequence[str], *, where: str) -> dict[str, list[Row]]:
    """The rows in these languages, by code or name, all where there are none given.

    Raises `UnknownName` for a language without rows.
    """
    known = {row.language for rows in splits.values() for row in rows}
    wanted = {language_code(language, known, where=where) for language in languages} or known
    return {split: [row for row in rows if row.language in wanted] for split, rows in splits.items()}


def subset_of(
    name: str,
    splits: Mapping[str, Sequence[Row]],
    make: Callable[[Row], Recording],
    config: Subset,
    labels: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> SpeechData:
    """Data of these splits, the training split cut to size."""
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return SpeechData(name, {**splits, "train": train}, make, labels, read=splits.values(), notices=notices)


def _labelled(name: str, splits: Mapping[str, list[Row]], config: Subset, notices: Sequence[str] = ()) -> SpeechData:
    labels = sorted_labels(row.label for rows in splits.values() for row in rows)
    if len(labels) < 2:
        raise DataError(f"{name}: {len(labels)} classes left; two are needed to tell apart")
    return subset_of(name, splits, labelled, config, labels, notices)


def _by_language(rows: Iterable[Row]) -> list[Row]:
    return [row._replace(label=row.language) for row in rows]


def _source(row: Row) -> str:
    """The package that a recording comes from: `asterisk-en/…`, `letters-words/ktuberling/…`."""
    part, inner, *_ = row.name.split("/")
    return inner if part == "letters-words" else part


def _prompts_apart(splits: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Training and validation rows of all sources but the telephone prompts, which are all tested."""

    def parted(split: str, prompts: bool) -> list[Row]:
        return [row for row in splits[split] if _source(row).startswith("asterisk-") is prompts]

    return {
        "train": [*parted("train", False), *parted("test", False)],
        "validation": parted("validation", False),
        "test": [row for split in splits for row in parted(split, True)],
    }


def _other_voices(splits: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Training and validation rows of each language's largest source; the test split has all the other sources."""
    counts = Counter((row.label, _source(row)) for rows in splits.values() for row in rows)
    largest: dict[str, str] = {}
    for (label, source), _ in counts.most_common():
        largest.setdefault(label, source)
    return {
        "train": [row for split in ("train", "test") for row in splits[split] if _source(row) == largest[row.label]],
        "validation": [row for row in splits["validation"] if _source(row) == largest[row.label]],
        "test": [row for rows in splits.values() for row in rows if _source(row) != largest[row.label]],
    }

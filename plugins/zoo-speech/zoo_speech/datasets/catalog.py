"""Speech data: samples by split, how splits are made without leaks, and the named data sets as they lie prepared."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from zoo_core import DataError, DigestMismatch, StoreError, UnknownName
from zoo_core.contract import Data
from zoo_core.data import (
    SPLITS,
    SplitOptions,
    data_root,
    empty_split,
    fs,
    joined_groups,
    make_splits,
    read_table,
    sorted_labels,
    subset_by_hash,
)
from zoo_speech.audio.audio import Limits
from zoo_speech.configs.data import SpokenLanguage, Subset
from zoo_speech.datasets.excerpts import Excerpt
from zoo_speech.datasets.languages import language_code
from zoo_speech.datasets.samples import LabelledRecording, Recording, Utterance
from zoo_speech.datasets.sources import ARCHIVE, PARTS, PREPARED


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


def asterisk_en(config: Subset) -> SpeechData:
    """English telephone prompts, spoken by one woman."""
    return _transcribed("asterisk-en", config)


def asterisk_es(config: Subset) -> SpeechData:
    """Spanish telephone prompts, spoken by one woman; their texts lack most accents."""
    return _transcribed("asterisk-es", config)


def asterisk_fr(config: Subset) -> SpeechData:
    """Canadian French telephone prompts, spoken by one woman."""
    return _transcribed("asterisk-fr", config)


def asterisk_it(config: Subset) -> SpeechData:
    """Italian telephone prompts, spoken by one man."""
    return _transcribed("asterisk-it", config)


def asterisk_ru(config: Subset) -> SpeechData:
    """Russian telephone prompts, spoken by one woman."""
    return _transcribed("asterisk-ru", config)


def tuxpaint_speech(config: Subset) -> SpeechData:
    """Captions of pictures in many languages."""
    return _transcribed("tuxpaint-speech", config)


def czech(config: Subset) -> SpeechData:
    """Acted dialogue of a game; the speakers are its roles."""
    return _transcribed("czech", config)


def letters_words(config: Subset) -> SpeechData:
    """Words, letters and syllables, labelled by their language."""
    splits = {split: _by_language(rows) for split, rows in _prepared(["letters-words"], config).items()}
    return _labelled("letters-words", splits, config)


def speech_mix(config: Subset) -> SpeechData:
    """Every recording of the training and validation splits of the other data sets, and none of their test splits."""
    splits = _prepared(PARTS["speech-mix"], config, view="speech-mix")
    left = (f"speech-mix: the {len(splits.pop('test')):,} recordings of the test splits are left out",)
    train = subset(splits["train"], config.train_samples, config.subset_seed, where="speech-mix")
    return SpeechData("speech-mix", {**splits, "train": train}, recording, read=splits.values(), notices=left)


def spoken_language(config: SpokenLanguage) -> SpeechData:
    """The recordings of words and sentences, labelled by their language."""
    found = _prepared(PARTS["spoken-language"], config, view="spoken-language")
    splits = {split: [row for row in _by_language(rows) if _source(row) != "klettres"] for split, rows in found.items()}
    if config.test != "recordings":
        splits = {"prompts": _prompts_apart, "voices": _other_voices}[config.test](splits)
    counts = Counter(row.label for row in splits["train"])
    tested = {row.label for row in splits["test"]}
    kept = {label for label in counts if counts[label] >= config.fewest and label in tested}
    left = sorted({row.label for rows in splits.values() for row in rows} - kept)
    why = "too few recordings" if config.test == "recordings" else "too few recordings, or none by other voices"
    notices = [f"spoken-language: left out for {why}: {', '.join(left)}"] if left else []
    splits = {split: [row for row in rows if row.label in kept] for split, rows in splits.items()}
    return _labelled("spoken-language", splits, config, notices)


def spoken_digits(config: Subset) -> SpeechData:
    """Single digits in many languages."""
    return _spelled("spoken-digits", str.isdecimal, config)


def spoken_letters(config: Subset) -> SpeechData:
    """Names of the letters from a to z in many languages."""
    return _spelled("spoken-letters", str.isalpha, config)


class PreparedFiles(NamedTuple):
    """The prepared files of a data set with recordings of its own, each checked against its registered sha256."""

    name: str
    folder: Path

    @classmethod
    def find(cls, name: str, *, fetch: str = "") -> PreparedFiles:
        """Raises `DataError` if it isn't on this machine, `DigestMismatch` if a file isn't the one registered."""
        folder = data_root(os.environ) / name
        hint = f"zoo data fetch {fetch or name}"
        for file, sha256 in PREPARED[name].items():
            path = folder / file
            if not path.is_file():
                raise DataError(f"data set {name!r} is not on this machine ({path} is missing)", hint=hint)
            if fs.digest_file(path.resolve())[0] != sha256:
                raise DigestMismatch(f"{path}: not the file that data set {name!r} was registered with", hint=hint)
        return cls(name, folder)

    def rows(self, split: str) -> list[Row]:
        """The recordings of a split."""
        told = ("text", "speaker", "language", "label", "sha256")
        columns = {column: column for column in ("name", "start", "size", *told)}
        return [
            Row(
                self.folder / ARCHIVE,
                f"{self.name}/{values['name']}",
                int(values["start"]),
                int(values["size"]),
                values["sha256"],
                text=values["text"],
                speaker=values["speaker"],
                language=values["language"],
                label=values["label"],
            )
            for _, values in read_table(self.folder / f"{split}.jsonl", columns)
        ]


def prepared_rows(parts: Iterable[str], *, view: str = "") -> dict[str, list[Row]]:
    """The rows of data sets by split; `view` is what is to be fetched where one is missing. Raises as `Prepared.find`."""
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for part in parts:
        prepared = PreparedFiles.find(part, fetch=view)
        for split, rows in splits.items():
            rows += prepared.rows(split)
    return splits


def of_languages(splits: Mapping[str, list[Row]], languages: Sequence[str], *, where: str) -> dict[str, list[Row]]:
    """The rows in these languages, by code or name, all where there are none given.

    Raises `UnknownName` for a language without rows.
    """
    known = {row.language for rows in splits.values() for row in rows}
    wanted = {language_code(language, known, where=where) for language in languages} or known
    return {split: [row for row in rows if row.language in wanted] for split, rows in splits.items()}


def _prepared(parts: Sequence[str], config: Subset, *, view: str = "") -> dict[str, list[Row]]:
    return of_languages(prepared_rows(parts, view=view), config.languages, where=view or ", ".join(parts))


def _transcribed(name: str, config: Subset) -> SpeechData:
    found = _prepared([name], config)
    splits = {split: [row for row in rows if row.text] for split, rows in found.items()}
    left = sum(map(len, found.values())) - sum(map(len, splits.values()))
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    notices = [f"{name}: {left:,} recordings left out whose text isn't known or not written as it is spoken"]
    return SpeechData(
        name, {**splits, "train": train}, utterance, read=splits.values(), notices=notices if left else ()
    )


def _labelled(name: str, splits: Mapping[str, list[Row]], config: Subset, notices: Sequence[str] = ()) -> SpeechData:
    labels = sorted_labels(row.label for rows in splits.values() for row in rows)
    if len(labels) < 2:
        raise DataError(f"{name}: {len(labels)} classes left; two are needed to tell apart")
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return SpeechData(name, {**splits, "train": train}, labelled, labels, read=splits.values(), notices=notices)


def _spelled(name: str, wanted: Callable[[str], bool], config: Subset) -> SpeechData:
    found = _prepared(PARTS[name], config, view=name)
    return _labelled(name, {split: [row for row in rows if wanted(row.label)] for split, rows in found.items()}, config)


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

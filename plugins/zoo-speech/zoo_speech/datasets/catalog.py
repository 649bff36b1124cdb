"""The named data sets as they lie prepared in the data folder: each by itself, or put together from several."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo_core import DataError
from zoo_core.data import SPLITS, PreparedFiles, SplitData, draw_subset, lines_of, sorted_labels
from zoo_speech.configs.data import NamedSpeech, SpokenLanguage
from zoo_speech.datasets.languages import language_code
from zoo_speech.datasets.samples import Clip, Recording
from zoo_speech.datasets.sources import ARCHIVE


def read_transcribed(config: NamedSpeech, prepared: PreparedFiles) -> SplitData:
    """Recordings with what is said in them; those whose text isn't known are left out."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in rows if row.text] for split, rows in found.items()}
    left = sum(map(len, found.values())) - sum(map(len, splits.values()))
    notice = f"{prepared.name}: {left:,} recordings left out whose text isn't known or not written as it is spoken"
    return subset_of(prepared.name, splits, config, notices=[notice] if left else ())


def read_languages(config: NamedSpeech, prepared: PreparedFiles) -> SplitData:
    """Recordings labelled by their language."""
    splits = {split: list(_by_language(rows)) for split, rows in prepared_rows(prepared, config.languages).items()}
    return _labelled(prepared.name, splits, config)


def read_mix(config: NamedSpeech, prepared: PreparedFiles) -> SplitData:
    """Every recording of the training and validation splits, and none of the test splits."""
    splits = prepared_rows(prepared, config.languages)
    left = f"{prepared.name}: the {len(splits.pop('test')):,} recordings of the test splits are left out"
    return subset_of(prepared.name, splits, config, notices=[left])


def read_spoken_language(config: SpokenLanguage, prepared: PreparedFiles) -> SplitData:
    """The recordings of words and sentences, labelled by their language."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in _by_language(rows) if _source(row) != "klettres"] for split, rows in found.items()}
    if config.test != "recordings":
        splits = _prompts_apart(splits) if config.test == "prompts" else _other_voices(splits)
    counts = Counter(row.label for row in splits["train"])
    tested = {row.label for row in splits["test"]}
    kept = {label for label in counts if counts[label] >= config.fewest and label in tested}
    left = sorted({row.label for rows in splits.values() for row in rows} - kept)
    why = "too few recordings" if config.test == "recordings" else "too few recordings, or none by other voices"
    notices = [f"{prepared.name}: left out for {why}: {', '.join(left)}"] if left else []
    splits = {split: [row for row in rows if row.label in kept] for split, rows in splits.items()}
    return _labelled(prepared.name, splits, config, notices)


def read_spelled(config: NamedSpeech, prepared: PreparedFiles, labels: str) -> SplitData:
    """The recordings of single digits or letters: those that `labels` consists of."""
    found = prepared_rows(prepared, config.languages)
    splits = {split: [row for row in rows if row.label in set(labels)] for split, rows in found.items()}
    return _labelled(prepared.name, splits, config)


def prepared_rows(prepared: PreparedFiles, languages: Sequence[str] = ()) -> dict[str, list[Recording]]:
    """The recordings of prepared files by split, in these languages, by code or name, in all by default."""
    splits: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    columns = ("name", "start", "size", "text", "speaker", "language", "label", "sha256")
    for file, path in prepared.files.items():
        part, split = path.parent.name, path.stem
        for row in prepared.rows(file, *columns) if split in splits else ():
            name, clip = f"{part}/{row['name']}", Clip(path.with_name(ARCHIVE), int(row["start"]), int(row["size"]))
            one = Recording(clip, text=row["text"], label=row["label"], name=name, key=row["sha256"])
            one.speaker, one.language = row["speaker"], row["language"]
            splits[split].append(one)
    return of_languages(splits, languages, where=prepared.name)


def of_languages(
    splits: Mapping[str, list[Recording]], languages: Sequence[str], *, where: str
) -> dict[str, list[Recording]]:
    """The rows in these languages, by code or name, all where there are none given.

    Raises `UnknownName` for a language without rows.
    """
    known = {row.language for rows in splits.values() for row in rows}
    wanted = {language_code(language, known, where=where) for language in languages} or known
    return {split: [row for row in rows if row.language in wanted] for split, rows in splits.items()}


def subset_of(
    name: str,
    splits: Mapping[str, Sequence[Recording]],
    config: NamedSpeech,
    labels: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> SplitData:
    """Data of these splits, the training split cut to size."""
    train = draw_subset(splits["train"], config, lambda one: one.key, where=name)
    return SplitData(name, {**splits, "train": train}, lines_of(splits.values(), line_of), labels, notices=notices)


def line_of(one: Recording) -> str:
    """What a digest of recordings takes of one: its content, what is known of it, and which part of it is meant."""
    told: list[Any] = [one.key, one.text, one.speaker, one.language, one.label]
    return json.dumps(told + ([[one.part.begin, one.part.end]] if one.part and not one.part.whole else []))


def _labelled(
    name: str, splits: Mapping[str, Sequence[Recording]], config: NamedSpeech, notices: Sequence[str] = ()
) -> SplitData:
    labels = sorted_labels(row.label for rows in splits.values() for row in rows)
    if len(labels) < 2:
        raise DataError(f"{name}: {len(labels)} classes left; two are needed to tell apart")
    return subset_of(name, splits, config, labels, notices)


def _by_language(rows: Iterable[Recording]) -> Iterator[Recording]:
    for row in rows:
        row.label = row.language
        yield row


def _source(row: Recording) -> str:
    """The package that a recording comes from: `asterisk-en/…`, `letters-words/ktuberling/…`."""
    part, inner, *_ = row.name.split("/")
    return inner if part == "letters-words" else part


def _prompts_apart(splits: Mapping[str, Sequence[Recording]]) -> dict[str, list[Recording]]:
    """Training and validation rows of all sources but the telephone prompts, which are all tested."""

    def parted(split: str, prompts: bool) -> list[Recording]:
        return [row for row in splits[split] if _source(row).startswith("asterisk-") is prompts]

    return {
        "train": [*parted("train", False), *parted("test", False)],
        "validation": parted("validation", False),
        "test": [row for split in splits for row in parted(split, True)],
    }


def _other_voices(splits: Mapping[str, Sequence[Recording]]) -> dict[str, list[Recording]]:
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

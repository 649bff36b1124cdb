"""Text data: samples by split, and the named data sets as they lie prepared in the data folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core import DataError, DigestMismatch, UnknownName
from zoo_core.contract import Data, NoConfig
from zoo_core.data import data_root, empty_split, fs, read_table, subset_by_hash
from zoo_nlp.configs.data import Tweets
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair
from zoo_nlp.datasets.sources import PREPARED

_TWEET_LABELS = ("negative", "neutral", "positive")


class TextData(Data):
    """Samples that have been read from files, by split."""

    def __init__(
        self,
        name: str,
        splits: Mapping[str, Sequence[Any]],
        files: Iterable[Path],
        labels: Sequence[str] = (),
        *,
        notices: Sequence[str] = (),
    ) -> None:
        """`name` is for messages, `files` are those that the samples came from."""
        self.name = name
        self.labels = tuple(labels)
        self.notices = tuple(notices)
        """What the user should know before a run: rows left out, and why; how the splits came about."""
        self._splits = dict(splits)
        self._files = sorted(set(files))

    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has."""
        return tuple(self._splits)

    def samples(self, split: str) -> Sequence[Any]:
        """The samples of a split. Raises `UnknownName` where there is none, `DataError` where it is empty."""
        if split not in self._splits:
            raise UnknownName("split", split, self._splits, where=self.name)
        if not self._splits[split]:
            raise empty_split(self.name, split)
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over the sha256 of every file, in the order of their paths."""
        digests = "".join(fs.digest_file(path.resolve())[0] + "\n" for path in self._files)
        return hashlib.sha256(digests.encode()).hexdigest()


def tweets(config: Tweets) -> TextData:
    """The tweets as `LabelledText`, with the neutral ones left out where two classes are asked for."""
    wanted = _TWEET_LABELS if config.classes == 3 else ("negative", "positive")
    prepared = PreparedFiles.find("tweets")
    splits = {
        split: [LabelledText(**row) for row in prepared.rows(split, "text", "label") if row["label"] in wanted]
        for split in ("train", "validation", "test")
    }
    splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where="tweets")
    return TextData("tweets", splits, prepared.files, wanted)


def tweets_unlabelled(config: NoConfig) -> TextData:
    """The texts of the training split of `tweets`, and of no other; three in a hundred are the validation split."""
    return _prepared_text("tweets-unlabelled")


def shakespeare(config: NoConfig) -> TextData:
    """The plays and poems as `Text`, one document each."""
    return _prepared_text("shakespeare")


def english(config: NoConfig) -> TextData:
    """The mixed corpus as `Text`, in documents of 2,000 characters and more."""
    return _prepared_text("english")


def libreoffice_help(config: NoConfig) -> TextData:
    """The help's paragraphs as `TextPair`, from English to German."""
    prepared = PreparedFiles.find("libreoffice-help-en-de")
    splits = {
        split: [TextPair(**row) for row in prepared.rows(split, "source", "target")]
        for split in ("train", "validation", "test")
    }
    return TextData("libreoffice-help-en-de", splits, prepared.files)


def subset(samples: Sequence[LabelledText], count: int | None, seed: int, *, where: str) -> list[LabelledText]:
    """The first `count` samples in an order that `seed` and their text alone decide. Raises `DataError` if there are fewer."""
    if count is None:
        return list(samples)
    return [samples[place] for place in subset_by_hash([sample.text for sample in samples], count, seed, where=where)]


class PreparedFiles(NamedTuple):
    """The prepared files of a named data set, each checked against its registered sha256."""

    name: str
    folder: Path
    files: list[Path]

    @classmethod
    def find(cls, name: str) -> PreparedFiles:
        """Raises `DataError` if it isn't on this machine, `DigestMismatch` if a file isn't the one registered."""
        folder = data_root(os.environ) / name
        fetch = f"zoo data fetch {name}"
        for file, sha256 in PREPARED[name].items():
            path = folder / file
            if not path.is_file():
                raise DataError(f"data set {name!r} is not on this machine ({path} is missing)", hint=fetch)
            if fs.digest_file(path)[0] != sha256:
                raise DigestMismatch(f"{path}: not the file that data set {name!r} was registered with", hint=fetch)
        return cls(name, folder, [folder / file for file in PREPARED[name]])

    def rows(self, split: str, *columns: str) -> Iterator[dict[str, str]]:
        """The rows of a split, with these columns."""
        for row in read_table(self.folder / f"{split}.jsonl", {column: column for column in columns}):
            yield row.values


def _prepared_text(name: str) -> TextData:
    prepared = PreparedFiles.find(name)
    splits = {split: [Text(row["text"]) for row in prepared.rows(split, "text")] for split in ("train", "validation")}
    return TextData(name, splits, prepared.files)

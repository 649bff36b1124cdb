"""Text data: samples by split, and the named data sets as they lie prepared in the data folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core import UnknownName
from zoo_core.contract import Data, NoConfig
from zoo_core.data import PreparedFiles, empty_split, fs, subset_by_hash
from zoo_nlp.configs.data import Tweets
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair

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


def read_tweets(config: Tweets, prepared: PreparedFiles) -> TextData:
    """The tweets as `LabelledText`, with the neutral ones left out where two classes are asked for."""
    wanted = _TWEET_LABELS if config.classes == 3 else ("negative", "positive")
    splits = {
        split: [LabelledText(**row) for row in rows if row["label"] in wanted]
        for split, rows in _rows_by_split(prepared, "text", "label").items()
    }
    splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where=prepared.name)
    return TextData(prepared.name, splits, prepared.files.values(), wanted)


def read_texts(config: NoConfig, prepared: PreparedFiles) -> TextData:
    """Documents as `Text`."""
    splits = {split: [Text(**row) for row in rows] for split, rows in _rows_by_split(prepared, "text").items()}
    return TextData(prepared.name, splits, prepared.files.values())


def read_pairs(config: NoConfig, prepared: PreparedFiles) -> TextData:
    """Texts and their translations as `TextPair`."""
    rows_by_split = _rows_by_split(prepared, "source", "target")
    splits = {split: [TextPair(**row) for row in rows] for split, rows in rows_by_split.items()}
    return TextData(prepared.name, splits, prepared.files.values())


def _rows_by_split(prepared: PreparedFiles, *columns: str) -> dict[str, Iterator[dict[str, str]]]:
    return {Path(file).stem: prepared.rows(file, *columns) for file in prepared.files}


def subset(samples: Sequence[LabelledText], count: int | None, seed: int, *, where: str) -> list[LabelledText]:
    """The first `count` samples in an order that `seed` and their text alone decide. Raises `DataError` if there are fewer."""
    if count is None:
        return list(samples)
    return [samples[place] for place in subset_by_hash([sample.text for sample in samples], count, seed, where=where)]

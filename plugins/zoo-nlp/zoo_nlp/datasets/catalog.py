"""The named data sets as they lie prepared in the data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zoo_core.contract import NoConfig
from zoo_core.data import PreparedFiles, SplitData, digest_file, draw_subset
from zoo_nlp.configs.data import Tweets
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair

_TWEET_LABELS = ("negative", "neutral", "positive")


def read_tweets(config: Tweets, prepared: PreparedFiles) -> SplitData:
    """The tweets as `LabelledText`, with the neutral ones left out where two classes are asked for."""
    wanted = _TWEET_LABELS if config.classes == 3 else ("negative", "positive")
    splits = {
        split: [LabelledText(**row) for row in rows if row["label"] in wanted]
        for split, rows in _rows_by_split(prepared, "text", "label").items()
    }
    splits["train"] = draw_subset(splits["train"], config, lambda sample: sample.text, where=prepared.name)
    return SplitData(prepared.name, splits, files_of(prepared.files.values()), wanted)


def read_texts(config: NoConfig, prepared: PreparedFiles) -> SplitData:
    """Documents as `Text`."""
    splits = {split: [Text(**row) for row in rows] for split, rows in _rows_by_split(prepared, "text").items()}
    return SplitData(prepared.name, splits, files_of(prepared.files.values()))


def read_pairs(config: NoConfig, prepared: PreparedFiles) -> SplitData:
    """Texts and their translations as `TextPair`."""
    rows_by_split = _rows_by_split(prepared, "source", "target")
    splits = {split: [TextPair(**row) for row in rows] for split, rows in rows_by_split.items()}
    return SplitData(prepared.name, splits, files_of(prepared.files.values()))


def _rows_by_split(prepared: PreparedFiles, *columns: str) -> dict[str, Iterator[dict[str, str]]]:
    return {Path(file).stem: prepared.rows(file, *columns) for file in prepared.files}


def files_of(files: Iterable[Path]) -> Callable[[], Iterator[str]]:
    """What a digest of files runs over: the sha256 of each, in the order of their paths."""
    paths = sorted(set(files))
    return lambda: (digest_file(path.resolve())[0] + "\n" for path in paths)

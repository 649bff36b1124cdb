"""Text data: readers of the user's files, and the named data sets as they lie prepared in the data folder."""

from __future__ import annotations

import hashlib
import os
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core import fs
from zoo_core.errors import DataError, DigestMismatch, UnknownName
from zoo_core.fetch import data_root
from zoo_core.inputs import expanded
from zoo_core.specs import NoConfig
from zoo_core.splits import in_order, split_by_hash, subset_by_hash
from zoo_core.tables import TABLES, read_lines, read_table, suffix_of, tables_by_split
from zoo_core.training.task import Data
from zoo_nlp.data_configs import LabelledFiles, ParallelFiles, TextFiles, Tweets
from zoo_nlp.samples import LabelledText, Text, TextPair
from zoo_nlp.sources import PREPARED

_TWEET_LABELS = ("negative", "neutral", "positive")


class TextData(Data):
    """Samples that have been read from files, by split."""

    def __init__(
        self, name: str, splits: Mapping[str, Sequence[Any]], files: Iterable[Path], labels: Sequence[str] = ()
    ) -> None:
        """`name` is for messages, `files` are those that the samples came from."""
        self.name = name
        self.labels = tuple(labels)
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
            raise DataError(f"{self.name}: split {split!r} is empty", hint="give more data or a larger share")
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over the sha256 of every file, in the order of their paths."""
        digests = "".join(fs.digest_file(path.resolve())[0] + "\n" for path in self._files)
        return hashlib.sha256(digests.encode()).hexdigest()


def read_text(config: TextFiles) -> TextData:
    """Documents of the user's files as `Text`, with a stretch held out for validation."""
    files = find_files(config.path, (*TABLES, ".txt"))
    documents = [document for path in files for document in _documents(path, config.text_column)]
    if not config.validation:
        return TextData(config.path, {"train": _texts(documents)}, files)
    train, validation = hold_out(documents, config.validation, config.seed, where=config.path)
    return TextData(config.path, {"train": _texts(train), "validation": _texts(validation)}, files)


def read_labelled_text(config: LabelledFiles) -> TextData:
    """Rows of the user's tables as `LabelledText`. Raises `DataError`, naming file and line, for unknown labels."""

    def rows(path: Path) -> Iterator[LabelledText]:
        for row in read_table(path, {"text": config.text_column, "label": config.label_column}):
            where = f"{path}:{row.line}"
            label = row.values["label"].strip()
            if config.labels and label not in config.labels:
                raise DataError(f"{where}: label {label!r} is not one of {', '.join(config.labels)}")
            if not label:
                raise DataError(f"{where}: the label is empty")
            yield LabelledText(_filled(where, "text", row.values["text"]), label)

    splits, files = _read_splits(config, rows, lambda sample: sample.text)
    name = config.path or config.train
    labels = config.labels or in_order({sample.label for samples in splits.values() for sample in samples})
    if len(labels) < 2:
        raise DataError(f"{name}: every label is {labels[0]!r}; two are needed to tell apart")
    splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return TextData(name, splits, files, labels)


def read_parallel_text(config: ParallelFiles) -> TextData:
    """Rows of the user's tables, or lines of two aligned files, as `TextPair`."""
    if config.source_path:
        files = [Path(config.source_path), Path(config.target_path)]
        shares = (config.validation_fraction, config.test_fraction)
        return TextData(config.source_path, _by_hash(_aligned(*files), lambda pair: pair.source, *shares), files)

    def rows(path: Path) -> Iterator[TextPair]:
        for row in read_table(path, {"source": config.source_column, "target": config.target_column}):
            where = f"{path}:{row.line}"
            source, target = (_filled(where, role, row.values[role]) for role in ("source", "target"))
            yield TextPair(source, target)

    splits, read = _read_splits(config, rows, lambda sample: sample.source)
    return TextData(config.path or config.train, splits, read)


def tweets(config: Tweets) -> TextData:
    """The tweets as `LabelledText`, with the neutral ones left out where two classes are asked for."""
    wanted = _TWEET_LABELS if config.classes == 3 else ("negative", "positive")
    prepared = Prepared.find("tweets")
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
    prepared = Prepared.find("libreoffice-help-en-de")
    splits = {
        split: [TextPair(**row) for row in prepared.rows(split, "source", "target")]
        for split in ("train", "validation", "test")
    }
    return TextData("libreoffice-help-en-de", splits, prepared.files)


def find_files(path: str, suffixes: Sequence[str]) -> list[Path]:
    """The file, the files below a folder or those that a pattern finds, sorted. Raises `DataError` where there is none."""
    place = expanded(path)
    if any(sign in path for sign in "*?["):
        anchor = Path(place.anchor)
        found = sorted(anchor.glob(str(place.relative_to(anchor))))
    elif place.is_dir():
        found = sorted(place.rglob("*"))
    else:
        return [place]
    files = [file for file in found if file.is_file() and suffix_of(file) in suffixes]
    if not files:
        raise DataError(f"{path}: no file ending in {', '.join(suffixes)} there")
    return files


def hold_out(documents: Sequence[str], share: float, seed: int, *, where: str) -> tuple[list[str], list[str]]:
    """Training and validation text: one stretch of about `share` of the characters is held out.

    The stretch starts where `seed` says. It consists of whole documents if each is shorter than the stretch is to be,
    of whole lines otherwise. Raises `DataError` where there is only one piece to choose from.
    """
    whole = max(map(len, documents)) <= share * sum(map(len, documents))
    pieces = [
        (number, piece)
        for number, document in enumerate(documents)
        for piece in ([document] if whole else document.splitlines(keepends=True))
    ]
    if len(pieces) < 2:
        raise DataError(f"{where}: one line only, nothing to hold out", hint="give more text, or validation: 0")
    ends = list(accumulate(len(piece) for _, piece in pieces))
    start = bisect_left(ends, random.Random(seed).random() * (1 - share) * ends[-1])
    end = bisect_left(ends, ends[start] + share * ends[-1] - len(pieces[start][1]))
    end = min(max(end + 1, start + 1), len(pieces) - (start == 0))
    held = range(start, end)
    cut = [(number, place in held, place >= end, piece) for place, (number, piece) in enumerate(pieces)]
    joined = [(key[1], "".join(piece for *_, piece in group)) for key, group in groupby(cut, lambda item: item[:3])]
    return [text for kept, text in joined if not kept], [text for kept, text in joined if kept]


def subset(samples: Sequence[LabelledText], count: int | None, seed: int, *, where: str) -> list[LabelledText]:
    """The first `count` samples in an order that `seed` and their text alone decide. Raises `DataError` if there are fewer."""
    if count is None:
        return list(samples)
    return [samples[place] for place in subset_by_hash([sample.text for sample in samples], count, seed, where=where)]


class Prepared(NamedTuple):
    """The prepared files of a named data set, each checked against its registered sha256."""

    name: str
    folder: Path
    files: list[Path]

    @classmethod
    def find(cls, name: str) -> Prepared:
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
    prepared = Prepared.find(name)
    splits = {split: [Text(row["text"]) for row in prepared.rows(split, "text")] for split in ("train", "validation")}
    return TextData(name, splits, prepared.files)


def _documents(path: Path, column: str) -> Iterator[str]:
    if suffix_of(path) in TABLES:
        for row in read_table(path, {"text": column}):
            yield _filled(f"{path}:{row.line}", "text", row.values["text"])
        return
    document = "".join(f"{line}\n" for line in read_lines(path))
    yield _filled(str(path), "text", document)


def _texts(documents: Iterable[str]) -> list[Text]:
    return [Text(document) for document in documents if document.strip()]


def _filled(where: str, what: str, value: str) -> str:
    if not value.strip():
        raise DataError(f"{where}: the {what} is empty")
    return value


def _aligned(source: Path, target: Path) -> Iterator[TextPair]:
    """Pairs of lines; a line that is blank in both files is passed over."""
    empty = True
    for number, (left, right) in enumerate(zip_longest(read_lines(source), read_lines(target)), start=1):
        if left is None or right is None:
            short = source if left is None else target
            raise DataError(f"{short}: ends after line {number - 1}, the other file goes on")
        if left.strip() or right.strip():
            empty = False
            yield TextPair(
                _filled(f"{source}:{number}", "source", left), _filled(f"{target}:{number}", "target", right)
            )
    if empty:
        raise DataError(f"{source}: no lines")


def _read_splits(
    config: LabelledFiles | ParallelFiles, rows: Callable[[Path], Iterator[Any]], text: Callable[[Any], str]
) -> tuple[dict[str, Sequence[Any]], list[Path]]:
    """Samples by split and the files they came from: as given, or made by hash."""
    named = {"train": config.path or config.train, "validation": config.validation, "test": config.test}
    files = {split: find_files(path, TABLES) for split, path in named.items() if path}
    if config.path:
        files = {split or "train": tables for split, tables in tables_by_split(files["train"]).items()}
    splits: dict[str, Sequence[Any]] = {
        split: [sample for path in paths for sample in rows(path)] for split, paths in files.items()
    }
    if "validation" not in files:
        test = 0.0 if config.train or "test" in files else config.test_fraction
        splits = {**_by_hash(splits["train"], text, config.validation_fraction, test), **_only(splits, "test")}
    return splits, [path for paths in files.values() for path in paths]


def _only(splits: Mapping[str, Sequence[Any]], name: str) -> dict[str, Sequence[Any]]:
    return {name: splits[name]} if name in splits else {}


def _by_hash(
    samples: Iterable[Any], text: Callable[[Any], str], validation: float, test: float
) -> dict[str, Sequence[Any]]:
    """Splits by the sha256 of the text less its case and spacing, so that a copy never crosses."""
    kept = list(samples)
    keys = (" ".join(text(sample).lower().split()) for sample in kept)
    places = split_by_hash((hashlib.sha256(key.encode()).digest() for key in keys), validation, test)
    return {split: [kept[place] for place in numbers] for split, numbers in places.items()}

"""Settings that all readers of users' data have in common: where samples are, how tables are read, what is bad, how samples
are split. Free of torch and numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from zoo_core.contract.config import WHEN_SET, Config, FieldError, Interval, MinLen, PositiveInt, ProperShare

SPLIT_SETTINGS = ("split_rule", "split_seed", "validation_fraction", "test_fraction", "validation", "group_column")
"""Settings that say how splits are made."""

HeldOut = Annotated[float, Interval(ge=0, le=0.9)]
"""A share that leaves enough to train on."""


class SplitOptions(Config):
    """How samples that come without splits are split."""

    split_rule: Literal["hash", "stratified", "none"] = "hash"
    """`stratified`: every class gets its share of every split; `hash`: a sample's content alone decides, so that more data
    moves none of it; `none`: all samples stay together in one split called `all`, which is for evaluation."""
    split_seed: int = 0
    """Chooses among the splits that the rule can make."""

    def sources(self) -> Mapping[str, str]:
        """The paths that are given, by split; that under "" is to be split."""
        raise NotImplementedError

    def shares(self) -> tuple[float, float]:
        """Shares of the validation split and of the test split, where they are made."""
        raise NotImplementedError


class SplitWhole(SplitOptions):
    """One source without splits of its own, of which a share is held out."""

    path: Annotated[str, MinLen(1)]
    """A file, a folder or a pattern."""
    validation: HeldOut = 0.05
    """Share that is held out, copies staying together; 0 for none."""

    def sources(self) -> Mapping[str, str]:
        """The path."""
        return {"": self.path}

    def shares(self) -> tuple[float, float]:
        """That of the validation split."""
        return self.validation, 0.0


class SplitShares(SplitOptions):
    """How large the splits are that are made."""

    validation_fraction: HeldOut = 0.1
    """Share of the validation split where it is made."""
    test_fraction: HeldOut = 0.1
    """Share of the test split where it is made."""

    def check(self) -> None:
        """Something is left to train on."""
        super().check()
        self.require("test_fraction", "together with validation_fraction at most 0.9", sum(self.shares()) <= 0.9)

    def shares(self) -> tuple[float, float]:
        """Both."""
        return self.validation_fraction, self.test_fraction


class SplitSource(SplitShares):
    """One source to split, or one for each split."""

    path: str = ""
    """A file, a folder or a pattern that is split, unless it has splits of its own."""
    train: str = ""
    """What the training split is read from, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from the training split."""
    test: str = ""
    """The same for the test split; may be left out."""

    def sources(self) -> Mapping[str, str]:
        """Those that are given."""
        named = {"": self.path, "train": self.train, "validation": self.validation, "test": self.test}
        return {split: path for split, path in named.items() if path}

    def check(self) -> None:
        """There is one source to split, or a training split with those that go with it."""
        super().check()
        given = self.sources()
        self.require("path", "exactly one of path and train", ("" in given) != ("train" in given))
        self.require(
            "path", "no validation and test beside it, as path is split by itself", "" not in given or len(given) == 1
        )


class GroupColumn(Config):
    """Which samples no split may divide."""

    group_column: str = field(default="", metadata=WHEN_SET)
    """Column of tables with what a sample belongs to, like its source; no group is in two of the splits made here."""


class ClassNames(Config):
    """Which classes there are."""

    labels: tuple[str, ...] = ()
    """The classes in the order of their numbers, any other being an error; empty: those that occur, sorted."""

    def check(self) -> None:
        """Two can be told apart."""
        super().check()
        distinct = len(set(self.labels)) == len(self.labels) != 1
        self.require("labels", "at least two, all different", distinct)


PART_KEYS = ("name", "weight")
"""Keys of a part that aren't settings of the data set it names."""


class MixtureConfig(Config):
    """Data sets that are one: their splits are joined, part after part, and their training samples met by weight."""

    parts: Annotated[tuple[Mapping[str, Any], ...], MinLen(1)]
    """Sections as the recipe's own: `name` and settings of a data set, all of one type of samples, and `weight`, how often an epoch
    has each training sample of the part (1 by default): 2 has each twice, 0.5 half of them, drawn anew in each epoch."""
    labels: tuple[str, ...] = ()
    """All classes in the order of their numbers; empty where every part has the same ones, which are then in the order of
    the first."""

    def check(self) -> None:
        """Each part has a name, and a weight that is a positive number."""
        super().check()
        for number, part in enumerate(self.parts):
            if not isinstance(part.get("name"), str):
                raise FieldError(
                    "parts", f"expected the name of a data set, found {part.get('name')!r:.80}", (number, "name")
                )
            weight = part.get("weight", 1)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1000:
                raise FieldError(
                    "parts", f"expected a number above 0, at most 1,000, found {weight!r:.80}", (number, "weight")
                )
        self.require("labels", "all different", len(set(self.labels)) == len(self.labels))


class Subset(Config):
    """How much of the data to train on."""

    train_samples: PositiveInt | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""


class TableOptions(Config):
    """How tables and plain files are read."""

    delimiter: str = ""
    """Sign between the columns of a .csv, or `tab`; empty: the one of `,` `;` tab `|` that the header fits."""
    encoding: str = "auto"
    """Name of the encoding of .csv, .tsv, .jsonl and .txt; `auto`: what a byte-order mark says, UTF-8, or cp1252 with a
    notice where that can't be."""
    missing: tuple[str, ...] = ("N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
    """What stands in tables for no value, besides nothing; `[]` where these are words like others."""

    def check(self) -> None:
        """The delimiter can be one, and the encoding is known."""
        super().check()
        sign = self.delimiter
        single = len(sign) <= 1 and sign not in ('"', "\r", "\n", "\0")
        self.require("delimiter", "one sign, or tab", single or sign == "tab")
        self.require("encoding", "a known one, for instance utf-8, utf-16, cp1252, latin-1", _is_known(self.encoding))


class BadSamples(Config):
    """What happens to what can't be a sample: rows without a value, files that are damaged."""

    bad: Literal["error", "skip"] = "error"
    """`error`: what is bad is listed and ends the run before it starts, only headers of files being read; `skip`: all files
    are decoded once, and what is bad is left out, with a notice."""
    max_bad: ProperShare = 0.05
    """The share of bad samples up to which `bad: skip` goes on."""


def _is_known(encoding: str) -> bool:
    try:
        return encoding == "auto" or "".encode(encoding) is not None
    except (LookupError, UnicodeError, ValueError):
        return False

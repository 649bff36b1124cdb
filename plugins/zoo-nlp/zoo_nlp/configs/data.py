"""What a recipe may set of the text data sets; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo_core.data import (
    BadRows,
    SplitOptions,
    TableOptions,
    check_bad,
    check_paths,
    check_share,
    check_shares,
    check_subset,
    check_table,
)


@dataclass(frozen=True, kw_only=True)
class TextFiles(BadRows, TableOptions):
    """Plain text from the user's files. Relative paths start at the working folder."""

    path: str
    """A file, a folder or a pattern like `corpus/**/*.txt`; a .txt is one document, a table has one in every row."""
    text_column: str = "text"
    """Column with the text, in tables."""
    validation: float = 0.05
    """Share of the text that is held out in one stretch, by whole documents where they are short enough; 0 for none."""
    seed: int = 0
    """Chooses the stretch."""
    split_rule: Literal["stretch", "none"] = "stretch"
    """`stretch`: hold out `validation`; `none`: all texts stay together in one split called `all`, for evaluation."""

    def __post_init__(self) -> None:
        """Refuse an empty path and settings that could not be."""
        check_table(self)
        check_bad(self.max_bad)
        if not self.path:
            raise ValueError("path: give a file, a folder or a pattern")
        check_share("validation", self.validation)


@dataclass(frozen=True, kw_only=True)
class LabelledFiles(SplitOptions, BadRows, TableOptions):
    """Labelled texts from tables. Give `path` and it is split by the rule, or give the splits themselves."""

    path: str = ""
    """A table, a folder of tables or a pattern. Tables named train, dev and test are the splits; others are split so that
    equal texts land in the same one."""
    train: str = ""
    """Table, folder or pattern of the training split, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from `train`."""
    test: str = ""
    """The same for the test split; may be left out."""
    text_column: str = "text"
    """Column with the text."""
    label_column: str = "label"
    """Column with the name of the class."""
    group_column: str = ""
    """Column with what a text belongs to, like its document; no group is in two of the splits made here."""
    labels: tuple[str, ...] = ()
    """The classes in the order of their numbers, any other being an error; empty: those that occur, sorted."""
    validation_fraction: float = 0.1
    """Share of the validation split where it is made."""
    test_fraction: float = 0.1
    """Share of the test split where it is made."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""

    def __post_init__(self) -> None:
        """Refuse paths, shares and labels that contradict each other."""
        check_table(self)
        check_bad(self.max_bad)
        check_paths(self.path, self.train, self.validation, self.test)
        check_shares(self.validation_fraction, self.test_fraction)
        check_subset(self.train_samples)
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise ValueError("labels: at least two, all different")


@dataclass(frozen=True, kw_only=True)
class ParallelFiles(SplitOptions, BadRows, TableOptions):
    """Pairs of texts from tables, or from two files whose lines belong together."""

    path: str = ""
    """A table, a folder of tables or a pattern. Tables named train, dev and test are the splits; others are split by
    the rule."""
    source_path: str = ""
    """Text file with a source on every line, instead of a table."""
    target_path: str = ""
    """Text file with the target of the same line of `source_path`."""
    train: str = ""
    """Table, folder or pattern of the training split, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from `train`."""
    test: str = ""
    """The same for the test split; may be left out."""
    source_column: str = "source"
    """Column with the text to start from."""
    target_column: str = "target"
    """Column with the text to arrive at."""
    group_column: str = ""
    """Column with what a pair belongs to, like its document; no group is in two of the splits made here."""
    validation_fraction: float = 0.05
    """Share of the validation split where it is made."""
    test_fraction: float = 0.05
    """Share of the test split where it is made."""

    def __post_init__(self) -> None:
        """Refuse paths and shares that contradict each other."""
        check_table(self)
        check_bad(self.max_bad)
        if bool(self.source_path) != bool(self.target_path):
            raise ValueError("source_path and target_path: give both or none")
        if self.source_path and (self.path or self.train or self.validation or self.test):
            raise ValueError("source_path and target_path: instead of path and train, not beside them")
        if not self.source_path:
            check_paths(self.path, self.train, self.validation, self.test)
        check_shares(self.validation_fraction, self.test_fraction)


@dataclass(frozen=True, kw_only=True)
class Tweets:
    """How much of the tweets to take."""

    classes: Literal[3, 2] = 3
    """3: negative, neutral, positive; 2: without the neutral ones."""
    train_samples: int | None = None
    """Train on so many tweets only; a larger number contains a smaller one's tweets."""
    subset_seed: int = 0
    """Chooses which tweets `train_samples` keeps."""

    def __post_init__(self) -> None:
        """Refuse an empty training split."""
        check_subset(self.train_samples)

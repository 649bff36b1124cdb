"""What a recipe may set of the text data sets; free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract import MinLen
from zoo_core.data import BadSamples, ClassNames, HeldOut, SplitSource, Subset, TableOptions


class TextFiles(BadSamples, TableOptions):
    """Plain text from the user's files. Relative paths start at the working folder."""

    path: Annotated[str, MinLen(1)]
    """A file, a folder or a pattern like `corpus/**/*.txt`; a .txt is one document, a table has one in every row."""
    text_column: str = "text"
    """Column with the text, in tables."""
    validation: HeldOut = 0.05
    """Share of the text that is held out in one stretch, by whole documents where they are short enough; 0 for none."""
    seed: int = 0
    """Chooses the stretch."""
    split_rule: Literal["stretch", "none"] = "stretch"
    """`stretch`: hold out `validation`; `none`: all texts stay together in one split called `all`, for evaluation."""


class LabelledFiles(SplitSource, ClassNames, Subset, BadSamples, TableOptions):
    """Labelled texts from tables. Give `path` and it is split by the rule, or give the splits themselves."""

    path: str = ""
    """A table, a folder of tables or a pattern. Tables named train, dev and test are the splits; others are split so that
    equal texts land in the same one."""
    text_column: str = "text"
    """Column with the text."""
    label_column: str = "label"
    """Column with the name of the class."""
    group_column: str = ""
    """Column with what a text belongs to, like its document; no group is in two of the splits made here."""


class ParallelFiles(SplitSource, BadSamples, TableOptions):
    """Pairs of texts from tables, or from two files whose lines belong together."""

    path: str = ""
    """A table, a folder of tables or a pattern. Tables named train, dev and test are the splits; others are split by
    the rule."""
    source_path: str = ""
    """Text file with a source on every line, instead of a table."""
    target_path: str = ""
    """Text file with the target of the same line of `source_path`."""
    source_column: str = "source"
    """Column with the text to start from."""
    target_column: str = "target"
    """Column with the text to arrive at."""
    group_column: str = ""
    """Column with what a pair belongs to, like its document; no group is in two of the splits made here."""
    validation_fraction: HeldOut = 0.05
    """Share of the validation split where it is made."""
    test_fraction: HeldOut = 0.05
    """Share of the test split where it is made."""

    def sources(self) -> dict[str, str]:
        """The tables that are given, or the file of sources."""
        return {"": self.source_path} if self.source_path else dict(super().sources())

    def check(self) -> None:
        """Two aligned files come together, and instead of tables."""
        both = bool(self.source_path) == bool(self.target_path)
        self.require("source_path", "target_path beside it, or neither of them", both)
        tables = self.path or self.train or self.validation or self.test
        self.require("source_path", "neither path nor train beside it", not (self.source_path and tables))
        super().check()


class Tweets(Subset):
    """How much of the tweets to take."""

    classes: Literal[3, 2] = 3
    """3: negative, neutral, positive; 2: without the neutral ones."""

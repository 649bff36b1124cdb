"""Settings that all readers of users' data have in common: how tables are read, what is bad, how samples are
split. Free of torch and numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SPLIT_SETTINGS = ("split_rule", "split_seed", "validation_fraction", "test_fraction", "validation", "group_column")
"""Settings that say how splits are made."""


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How samples that come without splits are split."""

    split_rule: Literal["hash", "stratified", "none"] = "hash"
    """`stratified`: every class gets its share of every split; `hash`: a sample's content alone decides, so that more data
    moves none of it; `none`: all samples stay together in one split called `all`, which is for evaluation."""
    split_seed: int = 0
    """Chooses among the splits that the rule can make."""


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How tables and plain files are read."""

    delimiter: str = ""
    """Sign between the columns of a .csv, or `tab`; empty: the one of `,` `;` tab `|` that the header fits."""
    encoding: str = "auto"
    """Name of the encoding of .csv, .tsv, .jsonl and .txt; `auto`: what a byte-order mark says, UTF-8, or cp1252 with a
    notice where that can't be."""
    missing: tuple[str, ...] = ("N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
    """What stands in tables for no value, besides nothing; `[]` where these are words like others."""


@dataclass(frozen=True, kw_only=True)
class BadRows:
    """What happens to rows that can't be samples."""

    bad: Literal["error", "skip"] = "error"
    """`error`: bad rows end the run before it starts, and are listed; `skip`: they are left out, with a notice."""
    max_bad: float = 0.05
    """The share of bad rows up to which `bad: skip` goes on."""


def check_table(options: TableOptions) -> None:
    """Raise ValueError for a delimiter that can't be one, and for an encoding that isn't known."""
    sign = options.delimiter
    if sign != "tab" and (len(sign) > 1 or sign in ('"', "\r", "\n", "\0")):
        raise ValueError(f"delimiter: one sign, or tab, found {sign!r}")
    if options.encoding == "auto":
        return
    try:
        "".encode(options.encoding)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError(
            f"encoding: unknown {options.encoding!r}; for instance utf-8, utf-16, cp1252, latin-1"
        ) from None


def check_bad(max_bad: float) -> None:
    """Raise ValueError for a share that would leave nothing."""
    if not 0 <= max_bad < 1:
        raise ValueError(f"max_bad: must be from 0 to below 1, found {max_bad}")


def check_paths(path: str, train: str, validation: str, test: str) -> None:
    """Raise ValueError unless there is one source to split, or a training split with those that go with it."""
    if bool(path) == bool(train):
        raise ValueError("path or train: give exactly one of them")
    if path and (validation or test):
        raise ValueError("validation and test go with train; path is split by itself")

"""What readers of other people's files may cost: one list, each a number that an environment variable can raise."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zoo_core.errors import UsageError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One limit."""

    variable: str
    """The environment variable that sets it: a whole number, with K, M, G or T for powers of 1,024."""
    usual: int
    """The limit where the variable isn't set."""
    what: str
    """What is counted, with its unit."""

    def limit(self, environ: Mapping[str, str] | None = None) -> int:
        """The limit that holds. Raises `UsageError` for a variable that is no number."""
        given = (os.environ if environ is None else environ).get(self.variable, "")
        if not given:
            return self.usual
        match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", given.strip().upper())
        if match is None or not int(match[1]):
            raise UsageError(f"{self.variable}: expected a whole number like 500M or 4G, found {given[:80]!r}")
        return int(match[1]) * _UNITS[match[2]]

    def expected(self) -> str:
        """The limit and how a user raises it, for the message about a field."""
        return f"at most {self.limit():,} ({self.variable} raises it)"

    def hint(self) -> str:
        """How a user raises it."""
        return f"if you trust the file, raise the limit: {self.variable}=... ({self.what})"


WEIGHTS = Budget(variable="ZOO_MAX_WEIGHTS", usual=64 << 30, what="bytes of all tensors of a folder to import")
LAYERS = Budget(variable="ZOO_MAX_LAYERS", usual=512, what="blocks of a model, encoder and decoder each")
SIZE = Budget(variable="ZOO_MAX_SIZE", usual=1 << 20, what="any other number of a model: widths, lengths, vocabularies")
TABLE = Budget(variable="ZOO_MAX_TABLE", usual=100_000_000, what="bytes that a packed table may always unfold to")
ROWS = Budget(variable="ZOO_MAX_ROWS", usual=128 << 20, what="bytes of memory in which the rows of a table are decoded")
ARCHIVE = Budget(variable="ZOO_MAX_ARCHIVE", usual=2 << 30, what="bytes of all members kept from an archive")

BUDGETS = (WEIGHTS, LAYERS, SIZE, TABLE, ROWS, ARCHIVE)

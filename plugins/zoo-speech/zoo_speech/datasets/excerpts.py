"""Parts of recordings, as tables name them: by the second where they begin, and where they end or how long they are."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from zoo_core import DataError

BEGINS = ("offset", "start", "start_time", "begin", "begin_time")
ENDS = ("end", "end_time")
LENGTH = "duration"
COLUMNS = (*BEGINS, *ENDS, LENGTH)
"""What the columns are called, in seconds: `offset` and `duration` in NeMo's manifests."""

_SLACK = 0.1  # s: what encoders add, and what is lost in rounding
_SHARE = 0.01
_RENAME = "give seconds, or rename a column that means something else"


class Excerpt(NamedTuple):
    """A part of a recording."""

    begin: float
    """Seconds."""
    end: float | None
    """Seconds from the recording's beginning; None for its end."""
    column: str
    """The column that says where it ends, or else where it begins."""
    whole: bool = False
    """Whether it is all of the recording, whose length the table tells."""

    def length(self, seconds: float) -> float:
        """Seconds of it, in a recording of so many."""
        return seconds if self.whole else (seconds if self.end is None else min(self.end, seconds)) - self.begin

    def fault(self, seconds: float) -> tuple[str, str]:
        """What is wrong with it in a recording of so many seconds, and what to do; empty where nothing is."""
        slack = max(_SLACK, _SHARE * seconds)
        if self.whole and self.end is not None and abs(self.end - seconds) > slack:
            hint = "give offset as well where a part is meant, or correct or rename the column"
            return f"{self.column} is {self.end:g} s, the recording has {seconds:.2f} s", hint
        if self.begin >= seconds or (self.end is not None and self.end > seconds + slack):
            place = self.begin if self.begin >= seconds else self.end
            return f"{self.column}: a part up to second {place:g}, the recording has {seconds:.2f} s", _RENAME
        return "", ""


def excerpt_of(values: Mapping[str, Any]) -> Excerpt | None:
    """The part that a row names; None where it names none. Raises `DataError`, naming the column, for what is no part."""
    given = {name: _seconds(name, values[name]) for name in COLUMNS if values.get(name) not in (None, "")}
    if not given:
        return None
    begins = [name for name in BEGINS if name in given]
    begin = _same(given, begins) if begins else 0.0
    ends = {name: given[name] for name in ENDS if name in given}
    if LENGTH in given:
        ends[LENGTH] = begin + given[LENGTH]
    end = _same(ends, list(ends)) if ends else None
    column = next(iter(ends), "") or begins[0]
    if end is not None and end <= begin:
        raise DataError(
            f"{column}: the part ends at second {end:g}, where it begins or before ({begin:g})", hint=_RENAME
        )
    return Excerpt(begin, end, column, whole=list(given) == [LENGTH])


def _same(given: Mapping[str, float], names: list[str]) -> float:
    first, *others = names
    for other in others:
        if abs(given[other] - given[first]) > _SLACK:
            raise DataError(
                f"{first} and {other} say different things: {given[first]:g} and {given[other]:g} s", hint=_RENAME
            )
    return given[first]


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} {value!r:.40} is no number of seconds", hint=_RENAME) from None
    if isinstance(value, bool) or not isfinite(seconds) or seconds < 0:
        raise DataError(f"{name} {value!r:.40} is no number of seconds", hint=_RENAME)
    return seconds

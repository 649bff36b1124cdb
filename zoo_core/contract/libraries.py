"""What other people's files do to native libraries: expressions that would run for ever, and panics that nobody catches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo_core.errors import CorruptFile, UsageError, ZooError

MOST = 2_000
"""Characters of a pattern."""
_REPEATS = 2
"""Unbounded repetitions in one alternative; with two, time grows with the square of a string at most."""

_PARTS = (
    (re.compile(r"\\[pP]\{[^{}]*\}|\\x\{[^{}]*\}|\\."), "x"),  # classes and escaped characters
    (re.compile(r"\[[^\[\]]*\]"), "x"),  # sets
    (re.compile(r"\(\?[!=][^()*+{]*\)"), ""),  # looking one ahead
    (re.compile(r"\(\?[a-z]*:[^()*+?{]*\)(?![*+?{])"), "x"),  # a choice of plain words that isn't repeated
    (re.compile(r"\{[0-9]{1,2}(,[0-9]{1,2})?\}"), ""),  # a few repetitions
)


def is_quick(pattern: str) -> bool:
    """Whether a pattern has no repetition inside another and few beside each other."""
    if len(pattern) > MOST or re.search(r"\\[1-9kg]", pattern):
        return False
    for part, plain in _PARTS:
        pattern = part.sub(plain, pattern)
    return all(
        "(" not in choice and ")" not in choice and len(re.findall(r"[*+{]", choice)) <= _REPEATS
        for choice in pattern.split("|")
    )


def refuse_slow(text: str, where: str) -> None:
    """Raise `UsageError` for JSON with a slow pattern under the key `Regex`, `CorruptFile` for what is no JSON."""
    if '"Regex"' not in text:
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{where}: not JSON: {str(error)[:200]}") from None
    for pattern in _patterns(found):
        if not isinstance(pattern, str) or not is_quick(pattern):
            raise UsageError(
                f"{where}: expected patterns without repetitions inside each other, found {pattern!r:.200}",
                hint="such a pattern can take hours for one line",
            )


def _patterns(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Regex":
                yield inner
            else:
                yield from _patterns(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _patterns(inner)


@contextmanager
def panics_as(error: Callable[[str], ZooError], what: str) -> Iterator[None]:
    """Raise `error("what: reason")` where a library written in Rust gives up inside: by a panic, whose class has no
    public name and which no `except Exception` catches, or by a bare `Exception`."""
    try:
        yield
    except BaseException as failure:
        if type(failure) is not Exception and type(failure).__module__ != "pyo3_runtime":
            raise
        reason = (str(failure).splitlines() or ["no reason given"])[0][:200]
        raise error(f"{what}: its library failed: {reason}") from None

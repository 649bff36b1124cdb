"""Patterns of other people's files, and libraries that panic."""

from __future__ import annotations

import json

import pytest

from zoo_core.contract.libraries import is_quick, panics_as, refuse_slow
from zoo_core.errors import CorruptFile, UsageError

QUICK = [
    r"[!-/:-@\[-`{-~]",
    " ",
    r"\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]
SLOW = [r"(a+)+b", r"(a|aa)*$", r"(?:a*)*b", r"a*a*a*a*b", r"(.)\1+x", r"((a)+)+", "(" * 500, r"(?i:a+)+", "a" * 3000]


@pytest.mark.parametrize("pattern", QUICK)
def test_patterns_in_use_are_quick(pattern: str) -> None:
    assert is_quick(pattern)
    refuse_slow(json.dumps({"pattern": {"Regex": pattern}}), "f")


@pytest.mark.parametrize("pattern", SLOW)
def test_patterns_that_can_take_for_ever_are_refused(pattern: str) -> None:
    assert not is_quick(pattern)
    with pytest.raises(UsageError, match="f: expected patterns without repetitions inside each other"):
        refuse_slow(json.dumps({"a": [{"pattern": {"Regex": pattern}}]}), "f")


def test_text_without_patterns_is_not_looked_into() -> None:
    refuse_slow("{", "f")
    with pytest.raises(CorruptFile, match="f: not JSON"):
        refuse_slow('{"Regex"', "f")


def test_a_panic_is_one_error_and_everything_else_passes() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    with pytest.raises(CorruptFile, match=r"^f: its library failed: index out of bounds$"), panics_as(CorruptFile, "f"):
        raise panic("index out of bounds\nmore")
    with pytest.raises(CorruptFile, match=r"^f: its library failed: no such token$"), panics_as(CorruptFile, "f"):
        raise Exception("no such token")
    for other in (KeyboardInterrupt, ValueError, SystemExit):
        with pytest.raises(other), panics_as(CorruptFile, "f"):
            raise other

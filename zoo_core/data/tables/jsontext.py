"""JSON that a user hands us, with a bound on its depth and every key once; numbers stay as they were written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

MAX_DEPTH = 32
"""Nesting of one document."""

MAX_DIGITS = 400
"""Of a number that is to be computed with."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def parse_json(content: str, number: Callable[[str], Any] = Number) -> Any:
    """The value of a document whose size the caller has bounded, numbers as `number` has them. Raises ValueError with what is
    wrong, in words."""
    _check_depth(content)
    try:
        return json.loads(
            content, parse_int=number, parse_float=number, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error}") from None


def plain_number(written: str) -> int | float:
    """A number as Python has it. Raises ValueError for one that no computer's number is."""
    if len(written) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    if re.fullmatch(r"-?\d+", written, re.ASCII):
        return int(written)
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"{written} is too large a number")
    return value


def _check_depth(content: str) -> None:
    if content.count("[") + content.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for sign in re.findall(r"[\[\]{}]", _STRING.sub("", content)):
        depth += 1 if sign in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"not valid JSON: the key {twice!r} occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not valid JSON: {name} is not JSON")

"""Inputs of a prediction by their kind: parsed from words, lines and tables, and checked where they come from Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from zoo_core.contract.answers import Unreadable
from zoo_core.contract.specs import InputKind, TaskSpec
from zoo_core.data.bad import Fault, Faults
from zoo_core.data.options import TableOptions
from zoo_core.data.tables.jsontext import MAX_DEPTH, parse_json, plain_number
from zoo_core.data.tables.lines import MAX_LINE, check_file, numbered_lines, suffix_of
from zoo_core.data.tables.rows import scan_table, table_header
from zoo_core.errors import DataError
from zoo_core.storage.paths import expanded

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TABLES = (".csv", ".tsv", ".parquet")
_KINDS: Mapping[InputKind, str] = {
    "text": "text, a word or a line",
    "json": "a JSON value",
    "row": "a row: a JSON object, or one of a table that --file names",
    "file": "a file",
    "number": "a whole number; --num 3 stands for 0, 1 and 2",
}


def described(spec: TaskSpec) -> str:
    """What an input of the task is, in words."""
    suffixes = f" ({', '.join(spec.input_suffixes)})" if spec.input_suffixes else ""
    numbers = ", or the number of a sample" if spec.takes_sample_indices else ""
    return f"{_KINDS[spec.input]}{suffixes}{numbers}"


def parsed(kind: InputKind, words: Iterable[Any]) -> Iterator[Any]:
    """What words and lines stand for; one that stands for nothing of that kind is an input that can't be read."""
    for word in words:
        try:
            yield _parsed(kind, word) if isinstance(word, str) else word
        except DataError as error:
            yield Unreadable(word, error)


def checked(kind: InputKind, item: Any) -> Any:
    """An input from Python: as it is, or a number made of digits. Raises `DataError` for one of another kind."""
    if kind == "number":
        return _whole(item)
    if kind == "row":
        return _row(item)
    if kind == "json" and not _is_json(item, MAX_DEPTH):
        raise DataError(f"expected a JSON value, found {_called(item)}", hint="lists, dicts by word, words and numbers")
    return item


def lines_of(path: Path) -> Iterator[str | Unreadable]:
    """Lines of a file without their ends; one that isn't UTF-8 is an input that can't be read."""
    faults = _Waiting()
    for _, line in numbered_lines(path, "utf-8", faults):
        yield from faults.unreadable()
        yield line.rstrip("\r\n")
    yield from faults.unreadable()


def rows_of(path: Path) -> Iterator[Any]:
    """Rows of a table by column, as strings; those of a .jsonl and of any other file are its lines, to be parsed."""
    if suffix_of(path) not in _TABLES:
        yield from lines_of(path)
        return
    options, faults = TableOptions(encoding="utf-8"), _Waiting()
    for row in scan_table(path, {name: name for name in table_header(path, options)}, faults, options):
        yield from faults.unreadable()
        yield row.values
    yield from faults.unreadable()


class _Waiting(Faults):
    """Keeps faults until their turn among the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Fault] = []

    def add(self, where: str, what: str, hint: str = "") -> None:
        """A sample that can't be one."""
        self.count += 1
        self.waiting.append(Fault(where, what, hint))

    def unreadable(self) -> Iterator[Unreadable]:
        """Those that wait."""
        while self.waiting:
            fault = self.waiting.pop(0)
            yield Unreadable(fault.where, DataError(str(fault), hint=fault.hint))


def _parsed(kind: InputKind, word: str) -> Any:
    if kind == "number":
        return _whole(word)
    if kind == "file":
        check_file(expanded(word))
    if kind not in ("json", "row"):
        return word
    if len(word) > MAX_LINE:
        raise DataError(f"a JSON value of more than {MAX_LINE:,} characters", hint="divide it")
    try:
        value = parse_json(word, plain_number)
        if "\\u" in word:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError("not valid JSON: half a surrogate pair") from None
    except ValueError as error:
        raise DataError(str(error), hint="a word of text stands in double quotes: '\"...\"'") from None
    return _row(value) if kind == "row" else value


def _whole(item: Any) -> int:
    if isinstance(item, Integral) and not isinstance(item, bool):
        return int(item)
    if isinstance(item, str) and _WHOLE.fullmatch(item.strip()):
        return int(item)
    raise DataError(f"expected a whole number, found {_called(item)}", hint="0 1 2 are three inputs")


def _row(item: Any) -> Any:
    if isinstance(item, Mapping) and all(isinstance(name, str) for name in item):
        return item
    raise DataError(f"expected a row, values by column, found {_called(item)}", hint='as {"width": 2.5, "name": "x"}')


def _is_json(item: Any, depth: int) -> bool:
    if item is None or isinstance(item, str | bool | int | float):
        return True
    if depth and isinstance(item, list | tuple):
        return all(_is_json(part, depth - 1) for part in item)
    if depth and isinstance(item, dict):
        return all(isinstance(name, str) and _is_json(part, depth - 1) for name, part in item.items())
    return False


def _called(item: Any) -> str:
    return repr(item[:80]) if isinstance(item, str) else type(item).__name__

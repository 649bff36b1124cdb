"""Records of delimited files (.csv, .tsv) from their lines: quoted as RFC 4180 has it, or not at all.

The standard library's reader has one limit of a field's length for the whole process, far below what is documented here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from zoo_core.data.bad import Faults
from zoo_core.data.tables.lines import MAX_LINE
from zoo_core.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
"""What is looked for between the fields of a .csv, in this order."""

Record = tuple[int, list[str]]
"""The line that a record starts on, and its fields."""


def plain_records(path: Path, lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[Record]:
    """Records of one line each, quotes taken as they stand; blank lines are passed over."""
    for number, line in lines:
        content = line.rstrip("\r\n")
        if content:
            yield number, content.split(delimiter)


def quoted_records(path: Path, lines: Iterable[tuple[int, str]], delimiter: str, faults: Faults) -> Iterator[Record]:
    """Records whose fields may be quoted, with doubled quotes and line breaks inside; blank lines are passed over.

    Raises `DataError` for a quote that is never closed and for a field of more than `MAX_LINE` characters, as nothing that
    follows can be told apart; a record that can be skipped is a fault.
    """
    waiting = iter(lines)
    for number, line in waiting:
        content = line.rstrip("\r\n")
        if not content:
            continue
        if '"' not in content:
            if "\r" in content:
                raise DataError(
                    f"{path}:{number}: a line break without a line feed", hint="save it with Unix line ends"
                )
            yield number, content.split(delimiter)
            continue
        fields, wrong = _quoted(path, number, content, line, waiting, delimiter)
        if wrong:
            faults.add(f"{path}:{number}", wrong, "check the quotes, or use .jsonl")
        else:
            yield number, fields


def detect_delimiter(header: str, wanted: Iterable[str]) -> str:
    """The delimiter that makes all wanted columns names of the header, the one with most of them else, the comma at last."""
    names = set(wanted)
    found = {sign: {name.strip('"') for name in header.rstrip("\r\n").split(sign)} for sign in DELIMITERS}
    return max(DELIMITERS, key=lambda sign: (len(names & found[sign]), len(found[sign])))


def _quoted(
    path: Path, number: int, content: str, line: str, waiting: Iterator[tuple[int, str]], delimiter: str
) -> tuple[list[str], str]:
    """Fields of the record that starts with `content`, further lines being taken while a quote is open, or what is wrong."""
    fields: list[str] = []
    ending = line[len(content) :]
    place = 0
    while True:
        if not content.startswith('"', place):
            end = content.find(delimiter, place)
            fields.append(content[place:] if end < 0 else content[place:end])
            if end < 0:
                return fields, ""
            place = end + 1
            continue
        pieces: list[str] = []
        length, place = 0, place + 1
        while (end := _closing(content, place)) < 0:
            pieces.append(content[place:] + ending)
            length += len(pieces[-1])
            if length > MAX_LINE:
                raise DataError(f"{path}:{number}: a field longer than {MAX_LINE:,} characters")
            following = next(waiting, None)
            if following is None:
                raise DataError(
                    f"{path}:{number}: a quote is opened and never closed", hint="check the quotes, or use .jsonl"
                )
            content, place = following[1].rstrip("\r\n"), 0
            ending = following[1][len(content) :]
        pieces.append(content[place:end])
        fields.append("".join(pieces).replace('""', '"'))
        place = end + 1
        if place == len(content):
            return fields, ""
        if not content.startswith(delimiter, place):
            return [], f"{delimiter!r} expected after a closing quote, found {content[place]!r}"
        place += 1


def _closing(content: str, place: int) -> int:
    """Where the quote is that closes a field which goes on at `place`; -1 where no quote of the line does."""
    while (end := content.find('"', place)) >= 0:
        if not content.startswith('"', end + 1):
            return end
        place = end + 2
    return -1

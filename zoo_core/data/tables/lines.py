"""Lines of files, of a bounded length, numbered and decoded: UTF-8 unless the file or the user says otherwise."""

from __future__ import annotations

import codecs
import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, AnyStr, BinaryIO, cast

from zoo_core.data.bad import Faults
from zoo_core.errors import DataError, StoreError, nearest
from zoo_core.storage import fs
from zoo_core.storage.budgets import TABLE

MAX_LINE = 10_000_000
"""Bytes of one line, and characters of one value: a longer one is not a row but a mistake or an attack."""

MAX_RATIO = 200
"""A compressed file may unfold to this many times its own size ..."""

FREE_BYTES = TABLE.usual
"""... once it has unfolded to more than this, or what `ZOO_MAX_TABLE` says."""

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_FALLBACK = "cp1252"
_BLOCK = 1 << 20


def numbered_lines(path: Path, encoding: str, faults: Faults) -> Iterator[tuple[int, str]]:
    """Numbered lines, ends included; a byte-order mark is dropped. Lines that can't be decoded are faults.

    `encoding` is a codec's name or `auto`: what a byte-order mark says, UTF-8, or Windows' cp1252, with a notice, where no
    character beyond ASCII is UTF-8. Raises `DataError` for what can't be read and for lines that are too long.
    """
    if encoding == "auto":
        encoding, notice = detect_encoding(path)
        if notice:
            faults.note(notice)
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        return _utf8_lines(path, faults)
    return _other_lines(path, encoding, faults)


def detect_encoding(path: Path) -> tuple[str, str]:
    """The encoding of a file by its byte-order mark or by its content, and what to tell of a choice that was a guess."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    beyond = False
    try:
        with _opened(path) as file:
            start = file.read(_BLOCK)
            for mark, name in _MARKS.items():
                if start.startswith(mark):
                    return name, ""
            block, left = start, _allowed(path)
            while block and left > 0:
                beyond = beyond or not block.isascii()
                decoder.decode(block)
                left -= len(block)
                block = file.read(_BLOCK)
            if left > 0:
                decoder.decode(b"", final=True)
        return "utf-8", ""
    except UnicodeDecodeError:
        pass
    except (OSError, EOFError, zlib.error):
        return "utf-8", ""  # whoever reads the lines says where
    if _has_utf8(path) or not _decodes(path):
        return "utf-8", ""
    return _FALLBACK, f"{path}: not UTF-8, read as {_FALLBACK}; encoding= names another"


def suffix_of(path: Path) -> str:
    """The suffix that tells the format: `.csv` for both `a.csv` and `a.csv.gz`, in lower case."""
    stem, _, ending = path.name.lower().removesuffix(".gz").rpartition(".")
    return f".{ending}" if stem and ending else ""


def check_file(path: Path) -> int:
    """The size in bytes of an ordinary file. Raises `DataError` for a missing one, a folder, a pipe and the like."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such file", hint=_neighbours(path)) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read: {reason(error)}") from None
    _demand_regular(path, status.st_mode)
    return status.st_size


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """An ordinary file; opening a pipe never waits for its other end. Raises `DataError` as `check_file` does."""
    check_file(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {reason(error)}", hint="check its owner and mode") from None
    try:
        _demand_regular(path, os.fstat(descriptor).st_mode)  # it may have been swapped since
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def file_key(path: Path, limit: int, name: str) -> str:
    """sha256 of a file in hex, links being followed. Raises `DataError`, calling it `name`, where it can't be read."""
    try:
        return fs.digest_file(path.resolve(), limit=limit)[0]
    except (StoreError, OSError, RuntimeError) as error:  # a loop of links is one or the other of the last two
        raise DataError(f"{name}: can't be read: {error}", hint=getattr(error, "hint", "")) from None


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _demand_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise DataError(f"{path}: expected a regular file, found {kind}")


def _opened(path: Path) -> BinaryIO:
    compressed = path.name.lower().endswith(".gz")
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


def _allowed(path: Path) -> int:
    """Bytes that a file may unfold to; one that isn't packed has what it has."""
    size = check_file(path)
    return max(TABLE.limit(), MAX_RATIO * size) if path.name.lower().endswith(".gz") else 1 << 62


def _bounded(
    path: Path, encoding: str, unit: str, wrap: Callable[[BinaryIO], IO[AnyStr]]
) -> Iterator[tuple[int, AnyStr]]:
    """Numbered lines of what `wrap` makes of the file. Raises `DataError` for one that is too long, and for too many."""
    allowed, total, number = _allowed(path), 0, 0
    try:
        with _opened(path) as file, wrap(file) as lines:
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                total += len(line)
                if len(line) > MAX_LINE:
                    raise DataError(f"{path}:{number}: line longer than {MAX_LINE:,} {unit}")
                if total > allowed:
                    raise DataError(f"{path}:{number}: unfolds to more than {MAX_RATIO} times its size")
                yield number, line
    except UnicodeError as error:
        raise DataError(f"{path}: not {encoding} after line {number}: {reason(error)}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read after line {number}: {reason(error)}") from None


def _utf8_lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    for number, line in _bounded(path, "utf-8", "bytes", lambda file: file):
        content = _decode(f"{path}:{number}", line, faults, first=number == 1)
        if content is not None:
            yield number, content


def _decode(where: str, line: bytes, faults: Faults, *, first: bool) -> str | None:
    if first:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        content = line.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at {error.start + 1}"
        faults.add(where, f"not UTF-8 ({found})", "save the file as UTF-8, or name its encoding")
        return None
    if "\0" in content:
        faults.add(where, "contains a NUL character", "save the file as UTF-8")
        return None
    return content


def _other_lines(path: Path, encoding: str, faults: Faults) -> Iterator[tuple[int, str]]:
    for number, line in _bounded(
        path, encoding, "characters", lambda file: TextIOWrapper(file, encoding, newline="\n")
    ):
        if "\0" in line:
            faults.add(f"{path}:{number}", "contains a NUL character", f"is it {encoding}?")
        else:
            yield number, line


def _has_utf8(path: Path) -> bool:
    """Whether some line has characters beyond ASCII and is UTF-8 all the same: then the others are damaged."""
    left = _allowed(path)
    with _opened(path) as file:
        while left > 0 and (line := file.readline(_BLOCK)):
            left -= len(line)
            if not line.isascii():
                try:
                    line.decode()
                except UnicodeDecodeError:
                    continue
                return True
    return False


def _decodes(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder(_FALLBACK)()
    left = _allowed(path)
    with _opened(path) as file:
        while left > 0 and (block := file.read(_BLOCK)):
            left -= len(block)
            if b"\0" in block:
                return False
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return False
    return True


def _neighbours(path: Path) -> str:
    try:
        names: Sequence[str] = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent}"
    return nearest(path.name, names)

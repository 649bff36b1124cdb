"""Reads and writes IDX files, the format of MNIST: a header of ten-odd bytes, then the numbers and nothing else."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo_core import DataError, StoreError
from zoo_core.data import FREE_BYTES, MAX_RATIO, check_file, read_into

MAX_BYTES = 8 << 30
"""Bytes of one unpacked file."""

_KINDS: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
_CODES: dict[np.dtype[Any], int] = {np.dtype(np.uint8): 0x08, np.dtype(np.int32): 0x0C}


def read_idx(path: Path, *, dimensions: int) -> npt.NDArray[Any]:
    """The uint8 or int32 array of an IDX file, or of its .gz, with so many dimensions.

    Raises `DataError`, naming the file, for another format, and for a file that is longer or shorter than it says.
    """
    size = check_file(path)
    if path.name.lower().endswith(".gz"):
        return parse_idx(_unzipped(path, size), dimensions=dimensions, where=str(path))
    try:
        data = read_into(path.resolve(), limit=MAX_BYTES)
    except StoreError as error:
        raise DataError(error.message, hint=error.hint) from None
    return parse_idx(data, dimensions=dimensions, where=str(path))


def parse_idx(data: bytearray | bytes, *, dimensions: int, where: str) -> npt.NDArray[Any]:
    """As `read_idx`, from bytes; a uint8 array shares them. `where` is for messages."""
    kind, shape = _header(data, dimensions, where)
    start = 4 + 4 * dimensions
    due = math.prod(shape) * kind.itemsize
    if len(data) - start != due:
        found = f"{' x '.join(map(str, shape))} numbers promised in {due:,} bytes, {len(data) - start:,} found"
        raise DataError(f"{where}: {found}", hint="download it again")
    numbers = np.frombuffer(data, kind, offset=start).reshape(shape)
    return numbers if kind == np.uint8 else numbers.astype(np.int32)


def dump_idx(numbers: npt.NDArray[Any]) -> bytes:
    """The bytes of an IDX file of a uint8 or int32 array: the same for the same numbers."""
    head = bytes([0, 0, _CODES[numbers.dtype], numbers.ndim])
    sides = b"".join(side.to_bytes(4, "big") for side in numbers.shape)
    big = numbers.dtype.newbyteorder(">")
    return head + sides + np.ascontiguousarray(numbers, dtype=big).tobytes()


def _header(data: bytearray | bytes, dimensions: int, where: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if len(data) < 4 + 4 * dimensions or data[0] or data[1] or data[2] not in _KINDS or data[3] != dimensions:
        kinds = "bytes or 32-bit whole numbers"
        raise DataError(f"{where}: not an IDX file of {kinds} in {dimensions} dimensions", hint="download it again")
    sides = [int.from_bytes(data[4 + 4 * n : 8 + 4 * n], "big") for n in range(dimensions)]
    kind = _KINDS[data[2]]
    if math.prod(sides) * kind.itemsize > MAX_BYTES:
        raise DataError(f"{where}: {' x '.join(map(str, sides))} numbers, more than {MAX_BYTES:,} bytes")
    return kind, tuple(sides)


def _unzipped(path: Path, size: int) -> bytearray:
    allowed = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * size))
    try:
        with gzip.open(path, "rb") as file:
            data = bytearray(file.read(allowed + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be unpacked: {error}", hint="download it again") from None
    if len(data) > allowed:
        raise DataError(f"{path}: unfolds to more than {allowed:,} bytes", hint="unpack it with gunzip if you trust it")
    return data

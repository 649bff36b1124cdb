"""Members of archives, streamed: nothing is written to disk, and neither headers nor what is skipped unfold without limit."""

from __future__ import annotations

import fnmatch
import gzip
import io
import re
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from zoo_core.errors import DataError
from zoo_core.storage.budgets import ARCHIVE

MAX_ARCHIVE = 1 << 30
"""Bytes of a downloaded archive."""

MAX_MEMBERS = 200_000
"""Members of one archive."""

MAX_RATIO = 200
"""A member, and all of a packed archive, may unfold to this many times its packed size ..."""

FREE_BYTES = 1 << 20
"""... once it is larger than this."""

MAX_HEADER = 1 << 20
"""Bytes that are read at once: of a member's headers no more are ever needed."""

_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    LookupError,
    RuntimeError,
    struct.error,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


def read_archive(path: Path, select: Sequence[str] = ("*",)) -> dict[str, bytes]:
    """The regular files of a .zip, .whl, .tar, .tgz, .tar.gz or .deb whose paths match a pattern, read into memory.

    Nothing is written to disk; symbolic links are left out, hard links give the bytes of the member they name. Raises
    `DataError` for a path that leaves the archive, for a device or an encrypted member, for a damaged archive and for
    one that unfolds beyond the limits.
    """
    if path.stat().st_size > MAX_ARCHIVE:
        raise DataError(f"{path.name}: larger than {MAX_ARCHIVE:,} bytes")
    opener = OPENERS.get(path.suffix)
    if opener is None:
        raise DataError(f"{path.name}: not an archive that can be read", hint=f"valid: {', '.join(OPENERS)}")
    kept: dict[str, bytes] = {}
    total = 0
    try:
        for number, member in enumerate(opener(path)):
            if number >= MAX_MEMBERS:
                raise DataError(f"{path.name}: more than {MAX_MEMBERS:,} members")
            name = _safe_name(path.name, member.name)
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in select):
                continue
            kept[name] = member.read(ARCHIVE.limit() - total)
            total += len(kept[name])
    except _DAMAGED as error:
        raise DataError(f"{path.name}: damaged archive: {error}") from None
    return kept


class _Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    read: Callable[[int], bytes]


class _Measured(io.RawIOBase):
    """A stream of which only so much is read, and little at once; it goes back only where its source can."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, name: str, most: int) -> None:
        super().__init__()
        self.source = source
        self.name = name
        self.left = most
        """Bytes that may still be unfolded; going back unfolds again."""
        self.place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, forwards."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self.place

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises `DataError` for more at once than any header has."""
        if not 0 <= size <= MAX_HEADER:
            raise DataError(f"{self.name}: a header of {size:,} bytes, more than {MAX_HEADER:,}")
        data = self.source.read(size)
        self._spend(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there: forwards by reading."""
        if offset < self.place:
            self.source.seek(0)
            self.place = 0
        while self.place < offset and (data := self.source.read(min(MAX_HEADER, offset - self.place))):
            self._spend(len(data))
        return self.place

    def _spend(self, count: int) -> None:
        self.place += count
        self.left -= count
        if self.left < 0:
            raise DataError(f"{self.name}: unfolds to far more than its size", hint=ARCHIVE.hint())


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir() or kind == stat.S_IFLNK:
                continue
            if kind not in (0, stat.S_IFREG):
                raise DataError(f"{path.name}: member {info.filename!r} is not an ordinary file")
            packed = info.compress_size

            def read(limit: int, info: zipfile.ZipInfo = info, packed: int = packed) -> bytes:
                with archive.open(info) as file:
                    return _limited(path.name, info.filename, file, min(limit, max(FREE_BYTES, MAX_RATIO * packed)))

            yield _Member(info.filename, read)


def _tar_members(path: Path) -> Iterator[_Member]:
    size = path.stat().st_size
    with path.open("rb") as plain:
        if path.suffix == ".tar":
            yield from _members(_Measured(plain, path.name, 4 * size), path.name, size)
            return
        allowed = max(FREE_BYTES, MAX_RATIO * size)
        with gzip.GzipFile(fileobj=plain) as unpacked:
            # What isn't selected unfolds, too, on the way to what is.
            yield from _members(_Measured(unpacked, path.name, 4 * allowed), path.name, allowed)


def _debian_members(path: Path) -> Iterator[_Member]:
    with _debian_tar(path) as tar:
        allowed = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
        yield from _members(_Measured(tar, path.name, 4 * allowed), path.name, allowed)


@contextmanager
def _debian_tar(path: Path) -> Iterator[IO[bytes]]:
    """The files of a Debian package as the tar that dpkg-deb unpacks, on the way out of it."""
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise DataError(f"{path.name}: opening it needs the program dpkg-deb, which is not here") from None
    assert child.stdout is not None, "it was started with a pipe"
    try:
        yield child.stdout
        while child.stdout.read(MAX_HEADER):
            pass
        if child.wait():
            raise DataError(f"{path.name}: damaged archive: dpkg-deb ended with {child.returncode}")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _members(stream: _Measured, archive_name: str, allowed: int) -> Iterator[_Member]:
    """The files of a tar."""
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            if info.isdir() or info.issym():
                continue
            if not (info.isreg() or info.islnk()):
                raise DataError(f"{archive_name}: member {info.name!r} is not an ordinary file")

            def read(limit: int, info: tarfile.TarInfo = info) -> bytes:
                file = archive.extractfile(info) or io.BytesIO()
                return _limited(archive_name, info.name, file, min(limit, allowed))

            yield _Member(info.name, read)


def _limited(archive: str, name: str, file: IO[bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while data := file.read(min(MAX_HEADER // 2, limit + 1 - size)):
        parts.append(data)
        size += len(data)
        if size > limit:
            raise DataError(f"{archive}: member {name!r} unfolds to more than {limit:,} bytes")
    return b"".join(parts)


def _safe_name(archive: str, name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{archive}: member {name!r} points outside the archive")
    return str(path)


OPENERS: Mapping[str, Callable[[Path], Iterator[_Member]]] = {
    ".whl": _zip_members,
    ".zip": _zip_members,
    ".tar": _tar_members,
    ".tgz": _tar_members,
    ".gz": _tar_members,
    ".deb": _debian_members,
}
"""How each kind of archive is opened, by its suffix."""

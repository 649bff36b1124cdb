"""What a file is by its first bytes, whatever its name says, and those bytes themselves."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from zoo_core.storage import fs

HEAD = 64
"""Bytes that `kind_of` looks at."""

RASTER_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Endings of the files that `zoo_core.data.images` decodes."""


class Kind(NamedTuple):
    """What a file is."""

    name: str
    """With its article, for messages: `a PNG file`."""
    raster: bool = False
    """Whether `zoo_core.data.images` decodes it."""
    sound: bool = False
    """Whether it is a recording."""
    hint: str = ""
    """What to do where something else was expected."""


_CONVERT = "convert it to PNG or JPEG"
_UNPACK = "unpack it first"
_AGAIN = "download it again"
_SIGNS = (
    (rb"\x89PNG", Kind("a PNG file", raster=True)),
    (rb"\xff\xd8\xff", Kind("a JPEG file", raster=True)),
    (rb"GIF8", Kind("a GIF file", raster=True)),
    (rb"RIFF....WEBP", Kind("a WebP file", raster=True)),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", Kind("a BMP file", raster=True)),
    (rb"II\*\0|MM\0\*", Kind("a TIFF file", raster=True)),
    (rb"P[1-6][\s#]", Kind("a PNM file", raster=True)),
    (rb"(RIFF|RIFX|RF64)....WAVE", Kind("a WAV recording", sound=True)),
    (rb"RIFF....AVI ", Kind("an AVI video")),
    (rb"FORM....AIF[FC]", Kind("an AIFF recording", sound=True)),
    (rb"fLaC", Kind("a FLAC recording", sound=True)),
    (rb"OggS", Kind("an Ogg recording", sound=True)),
    (rb"ID3", Kind("an MP3 recording", sound=True)),
    (rb"\x1a\x45\xdf\xa3", Kind("a Matroska or WebM file")),
    (rb"....ftyp(heic|heix|heim|heis|mif1|msf1|avif|avis)", Kind("a HEIC or AVIF file", hint=_CONVERT)),
    (rb"....ftyp", Kind("an MP4 file")),
    (rb"PK\x03\x04", Kind("a ZIP archive", hint=_UNPACK)),
    (rb"\x1f\x8b", Kind("compressed with gzip", hint=_UNPACK)),
    (rb"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", hint=_UNPACK)),
    (rb"Rar!", Kind("a RAR archive", hint=_UNPACK)),
    (rb"PAR1", Kind("a Parquet table")),
    (rb"\x93NUMPY", Kind("a NumPy array", hint="load it with numpy and give the array")),
    (rb"%PDF", Kind("a PDF document", hint=_CONVERT)),
    (rb"%!PS", Kind("a PostScript document", hint=_CONVERT)),
    (rb"\x80[\x02-\x05][\x95(}\]cX\x8c]", Kind("a Python pickle, which could run code; it is never opened")),
    (rb"version https://git-lfs", Kind("a Git LFS pointer", hint="fetch the file itself with: git lfs pull")),
    (rb"(?i)<svg", Kind("an SVG drawing", hint="render it to PNG")),
    (rb"(?i)<\?xml", Kind("an XML document, perhaps an SVG drawing", hint="render drawings to PNG")),
    (rb"(?i)<!doctype|<html", Kind("a web page, perhaps of a failed download", hint=_AGAIN)),
)
"""Patterns of first bytes and what they say; compiled where a file is looked at."""


def kind_of(head: bytes) -> Kind | None:
    """The kind that the first bytes of a file say, or None for an unknown one."""
    written = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for sign, kind in _SIGNS:
        if re.match(sign, head, re.DOTALL) or re.match(sign, written, re.DOTALL):
            return kind
    return None


def read_head(path: Path, count: int) -> tuple[bytes, int]:
    """The first `count` bytes of a regular file, fewer where it ends, and its size. Raises `DiskError`."""
    with fs.opened(path, None) as (descriptor, size):
        return os.pread(descriptor, count, 0), size

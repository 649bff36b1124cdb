"""Opens picture files that may be anything: what is too large, damaged or no picture is refused before it costs memory."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo_core.errors import DataError
from zoo_core.tables import check_file

Array = npt.NDArray[np.uint8]
"""(H, W, C) with C 1 for grey, 3 for RGB, 4 for RGBA."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""What is decoded, by content; the name of a file says nothing."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
"""Endings by which pictures are found in a folder."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a picture may cost; checked on its header."""

    max_pixels: int = 25_000_000
    """Width times height: at most 100 MB once decoded."""
    max_side: int = 30_000
    """Pixels of the longer side."""
    max_bytes: int = 64 << 20
    """Bytes of the file."""


class Header(NamedTuple):
    """What the head of a picture file promises."""

    width: int
    """Pixels, before EXIF turns the picture."""
    height: int
    """Pixels, before EXIF turns the picture."""
    frames: int
    """1 for a still picture, 2 for one with more frames: counting them would mean to read them all."""


class Problem(NamedTuple):
    """Why a picture can't be used."""

    reason: str
    """In a word or two, to count by: `truncated`, `not a picture`, `too large` ..."""
    message: str
    """What is wrong, without the name of the file."""
    hint: str
    """What to do."""


class _Bad(Exception):  # never leaves this module
    """Carries a `Problem` out of the depths."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(reason, message, hint)


# What Pillow and its codecs raise on damaged files, besides OSError.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
_CONVERT = "convert it to PNG or JPEG"
_REPAIR = "replace the file, or leave such files out with bad: skip"
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_FOREIGN = {
    b"PK\x03\x04": ("a ZIP archive", "unpack it first"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it first"),
    b"%PDF": ("a PDF document", _CONVERT),
    b"<svg": ("an SVG drawing", "render it to PNG"),
    b"<?xml": ("an XML document, perhaps an SVG drawing", "render drawings to PNG"),
    b"<!DOCTYPE": ("a web page, perhaps of a failed download", "download it again"),
    b"<html": ("a web page, perhaps of a failed download", "download it again"),
}
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation to PIL.Image.Transpose


def read_image(source: Path | bytes, *, limits: Limits = Limits(), name: str = "") -> Array:
    """The picture, upright, as uint8 (H, W, C): C is 1 for grey, 3 for RGB, 4 where it has transparency.

    The first frame of an animation. 16-bit and floating-point grey is scaled to 8 bits: 0 to 65535 or 0 to 1 becomes 0 to
    255, floats beyond that are stretched from their least to their greatest. `name` is for messages about bytes; links to
    files are followed. Raises `DataError`, naming the file, for whatever isn't a picture within the limits.
    """
    try:
        with _opened(source, limits) as file, _quiet():
            return _decoded(_picture(file, limits))
    except _Bad as bad:
        raise _error(source, name, bad.problem) from None


def check_image(source: Path | bytes, *, limits: Limits = Limits(), name: str = "") -> Header:
    """Width, height and frames from the header alone. Raises as `read_image` does, as far as a header can tell."""
    try:
        with _opened(source, limits) as file, _quiet():
            image = _picture(file, limits)
            width, height = image.size
            return Header(width, height, 2 if _animated(image) else 1)
    except _Bad as bad:
        raise _error(source, name, bad.problem) from None


def header_problem(source: Path | bytes) -> Problem | None:
    """What is wrong with a picture's header, or None."""
    try:
        with _opened(source, Limits()) as file, _quiet():
            _picture(file, Limits())
    except _Bad as bad:
        return bad.problem
    except DataError as error:
        return Problem("missing or no ordinary file", error.message, error.hint)
    return None


def picture_problem(source: Path | bytes) -> Problem | None:
    """What is wrong with a picture, found by decoding it, or None."""
    try:
        with _opened(source, Limits()) as file, _quiet():
            _decoded(_picture(file, Limits()))
    except _Bad as bad:
        return bad.problem
    except DataError as error:
        return Problem("missing or no ordinary file", error.message, error.hint)
    return None


def eight_bits(values: npt.NDArray[Any]) -> Array:
    """Numbers from 0 to 1 as uint8 from 0 to 255, rounded. Raises `ValueError` for others and for what isn't finite."""
    if not np.isfinite(values).all() or (values.size and (values.min() < 0 or values.max() > 1)):
        raise ValueError("floating-point pixels must lie between 0 and 1")
    scaled: Array = np.rint(values * 255).astype(np.uint8)
    return scaled


def array_of(image: Any) -> Array:
    """uint8 (H, W, C) of a PIL image that is loaded, in any of its modes. Raises `ValueError` for non-finite values."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _eight_bit_grey(np.asarray(image))[:, :, None]
    if mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
    elif mode in ("1", "L"):
        image = image.convert("L")
    else:
        image = image.convert("RGB")
    pixels = np.array(image, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


@contextmanager
def _opened(source: Path | bytes, limits: Limits) -> Iterator[IO[bytes]]:
    """A picture's bytes as a file, size checked; opening a pipe never waits for its other end."""
    if isinstance(source, bytes):
        _check_size(len(source), limits)
        yield io.BytesIO(source)
        return
    _check_size(check_file(source), limits)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _Bad("unreadable", f"can't be read: {error.strerror}", "check its owner and mode") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # swapped since it was checked
            raise _Bad("not an ordinary file", "not an ordinary file")
        _check_size(status.st_size, limits)
        yield file


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of what is either refused here or harmless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_size(size: int, limits: Limits) -> None:
    if size == 0:
        raise _Bad("empty", "the file is empty", _REPAIR)
    if size > limits.max_bytes:
        raise _Bad("too large", f"{size:,} bytes, more than the {limits.max_bytes:,} allowed", "make it smaller")


def _picture(file: IO[bytes], limits: Limits) -> Any:
    """The PIL image, its header read and within the limits, its pixels not."""
    # Named one by one: Pillow would otherwise import every plugin it has to look for the last two.
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

    head = file.read(64)
    file.seek(0)
    _refuse_foreign(head)
    _check_area(*_webp_size(head), limits)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise _Bad("too large", f"more than the {limits.max_pixels:,} pixels allowed", "make it smaller") from None
    except UnidentifiedImageError:
        kind = next((kind for sign, kind in _SIGNATURES.items() if head.startswith(sign)), "")
        if kind:
            raise _Bad("damaged", f"it starts like a {kind}, but its header is damaged or cut off", _REPAIR) from None
        valid = ", ".join(FORMATS)
        raise _Bad("not a picture", "not a picture that can be read", f"valid by content: {valid}") from None
    except _DAMAGED as error:
        raise _damage(error) from None
    _check_area(*image.size, limits)
    return image


def _decoded(image: Any) -> Array:
    try:
        image.load()
        return array_of(_upright(image))
    except _DAMAGED as error:
        raise _damage(error) from None


def _damage(error: BaseException) -> _Bad:
    said = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, EOFError) or "truncat" in said.lower() or "read past end" in said.lower():
        return _Bad("truncated", f"the picture is cut off ({said})", _REPAIR)
    return _Bad("damaged", f"the picture is damaged ({said})", _REPAIR)


def _refuse_foreign(head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for sign, (what, hint) in _FOREIGN.items():
        if start[: len(sign)].lower() == sign.lower():
            raise _Bad("not a picture", f"not a picture but {what}", hint)
    if len(head) > 2 and head[0] == 0x80 and head[1] <= 5:
        raise _Bad("not a picture", "not a picture but a Python pickle, which could run code; it is never opened")
    if head[4:8] == b"ftyp":
        raise _Bad("not a picture", "a HEIC, AVIF or video file, which can't be read", _CONVERT)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Canvas of an extended WebP, else (1, 1): Pillow's decoder takes its memory while the header is read."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30:
        return 1, 1
    return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")


def _check_area(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise _Bad("empty", f"{width} x {height} pixels", _REPAIR)
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        allowed = f"{limits.max_pixels:,} pixels and {limits.max_side:,} a side"
        raise _Bad("too large", f"{width} x {height} pixels, more than the {allowed} allowed", "make it smaller")


def _animated(image: Any) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except _DAMAGED:  # a damaged second frame matters to nobody
        return False


def _upright(image: Any) -> Any:
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except _DAMAGED:  # EXIF is broken more often than pictures are
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = {key: image.info[key] for key in ("transparency",) if key in image.info}
    return turned


def _eight_bit_grey(values: npt.NDArray[Any]) -> Array:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("its values are not all finite")
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 1:
            return eight_bits(values)
        return eight_bits((values - low) / max(high - low, 1e-12))
    wide = np.clip(values, 0, 65535).astype(np.uint32)
    scaled: Array = ((wide + 128) // 257).astype(np.uint8)
    return scaled


def _error(source: Path | bytes, name: str, problem: Problem) -> DataError:
    where = name or ("the picture" if isinstance(source, bytes) else str(source))
    return DataError(f"{where}: {problem.message}", hint=problem.hint)

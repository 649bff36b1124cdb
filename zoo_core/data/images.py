"""Decodes raster files that may be anything: what is too large, damaged or no image is refused before it costs memory."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo_core.data.tables.lines import open_file
from zoo_core.errors import DataError, UsageError
from zoo_core.storage.kinds import HEAD, kind_of
from zoo_core.storage.silence import silenced

Array = npt.NDArray[np.uint8]
"""(H, W, C) with C 1 for grey, 3 for RGB, 4 for RGBA."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""What is decoded, by content; the name of a file says nothing."""

VARIABLE = "ZOO_MAX_PIXELS"
"""The environment variable that sets `Limits.max_pixels`."""

MOST_PIXELS = 178_956_970
"""The most that it may be set to: beyond, Pillow refuses by itself."""


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What an image may cost; checked on its header."""

    max_pixels: int = 64_000_000
    """Width times height: 256 MB once decoded with its transparency. A page of A4 at 600 dpi has 35 million."""
    max_side: int = 30_000
    """Pixels of the longer side."""
    max_bytes: int = 256 << 20
    """Bytes of the file."""


def limits_of(environ: Mapping[str, str]) -> ImageLimits:
    """The limits, with `$ZOO_MAX_PIXELS` where it is set. Raises `UsageError` for what is no possible number."""
    given = environ.get(VARIABLE, "")
    if not given:
        return ImageLimits()
    if not (given.isascii() and given.isdecimal() and len(given) < 12 and 1 <= int(given) <= MOST_PIXELS):
        raise UsageError(f"{VARIABLE}: expected a whole number from 1 to {MOST_PIXELS:,}, found {given!r}")
    return ImageLimits(max_pixels=int(given))


class ImageHeader(NamedTuple):
    """What the head of an image file promises."""

    width: int
    """Pixels, before EXIF turns the image."""
    height: int
    """Pixels, before EXIF turns the image."""
    animated: bool
    """Whether more frames follow the first, which alone is read."""
    deep: bool
    """Whether it is grey of 16 bits, of which 8 are kept."""
    deep_colour: bool = False
    """Whether its colours have 16 bits each, of which the upper 8 are kept."""


class DecodeFailure(DataError):
    """Raised for what isn't an image within the limits."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        """`reason` is a word or two, to count by: `truncated`, `not an image`, `too large` ..."""
        super().__init__(message, hint=hint)
        self.reason = reason
        self.args = (reason, message, hint)  # what another process makes it from


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
_SMALLER = "make it smaller"
_REPAIR = "replace the file, or leave such files out with bad: skip"
_TWELVE, _DEEP = 2**12 - 1, 2**16 - 1
_ROWS = 256
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation to PIL.Image.Transpose


def read_image(source: Path | bytes, *, limits: ImageLimits | None = None, name: str = "") -> Array:
    """The image, upright, as uint8 (H, W, C): C is 1 for grey, 3 for RGB, 4 where it has transparency.

    The first frame of an animation. Grey of 16 bits is scaled from 0 to 65,535 to 8 bits, or from 0 to 4,095 where no
    pixel is brighter, as cameras of 12 bits write it; floats from 0 to 1. Other numbers are stretched from their least to
    their greatest. `limits` are those of the environment by default; `name` is for messages about bytes; links to files
    are followed. Raises `DataError`, naming the file, for whatever isn't an image within the limits.
    """
    limits = limits or limits_of(os.environ)
    try:
        with _opened(source, limits) as file, silenced():
            return _decoded(_image(file, limits))
    except DecodeFailure as failure:
        where = name or ("the image" if isinstance(source, bytes) else str(source))
        raise DecodeFailure(failure.reason, f"{where}: {failure.message}", failure.hint) from None


def image_header(source: Path | bytes) -> ImageHeader:
    """What an image's header promises. Raises `DecodeFailure`, which doesn't name it."""
    limits = limits_of(os.environ)
    with _opened(source, limits) as file, silenced():
        image = _image(file, limits)
        grey = image.mode.startswith("I;16")
        width, height = image.size
        return ImageHeader(width, height, _animated(image), grey, not grey and _has_16_bits(image))


def array_of(image: Any, *, limits: ImageLimits | None = None) -> Array:
    """The same of a PIL image, whatever its mode and however its EXIF turns it. Raises `DecodeFailure`."""
    width, height = image.size
    _check_area(width, height, limits or limits_of(os.environ))
    with silenced():
        return _decoded(image)


def eight_bits(values: npt.NDArray[Any]) -> Array:
    """Numbers from 0 to 1 as uint8 from 0 to 255, rounded. Raises `ValueError` for others and for what isn't finite."""
    if not np.isfinite(values).all() or (values.size and (values.min() < 0 or values.max() > 1)):
        raise ValueError("floating-point pixels must lie between 0 and 1")
    scaled: Array = np.rint(values * 255).astype(np.uint8)
    return scaled


@contextmanager
def _opened(source: Path | bytes, limits: ImageLimits) -> Iterator[IO[bytes]]:
    """An image's bytes as a file, size checked; opening a pipe never waits for its other end."""
    if isinstance(source, bytes):
        _check_size(len(source), limits)
        yield io.BytesIO(source)
        return
    try:
        with open_file(source) as file:
            _check_size(os.fstat(file.fileno()).st_size, limits)
            yield file
    except DecodeFailure:
        raise
    except DataError as error:
        raise DecodeFailure(
            "missing or no ordinary file", error.message.removeprefix(f"{source}: "), error.hint
        ) from None


def _check_size(size: int, limits: ImageLimits) -> None:
    if size == 0:
        raise DecodeFailure("empty", "the file is empty", _REPAIR)
    if size > limits.max_bytes:
        raise DecodeFailure("too large", f"{size:,} bytes, more than the {limits.max_bytes:,} allowed", _SMALLER)


def _image(file: IO[bytes], limits: ImageLimits) -> Any:
    """The PIL image, its header read and within the limits, its pixels not."""
    # Named one by one: Pillow would otherwise import every plugin it has to look for the last two.
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

    head = file.read(HEAD)
    file.seek(0)
    kind = kind_of(head)
    if kind and not kind.raster:
        raise DecodeFailure("not an image", f"not an image but {kind.name}", kind.hint or _REPAIR)
    _check_area(*_webp_size(head), limits)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise DecodeFailure("too large", f"more than the {limits.max_pixels:,} pixels allowed", _SMALLER) from None
    except UnidentifiedImageError:
        if kind:
            said = f"it starts like {kind.name}, but its header is damaged or cut off"
            raise DecodeFailure("damaged", said, _REPAIR) from None
        valid = ", ".join(FORMATS)
        raise DecodeFailure("not an image", "not an image that can be read", f"valid by content: {valid}") from None
    except _DAMAGED as error:
        raise _damage(error) from None
    _check_area(*image.size, limits)
    return image


def _decoded(image: Any) -> Array:
    try:
        image.load()
        return _channels(_upright(image))
    except _DAMAGED as error:
        raise _damage(error) from None


def _damage(error: BaseException) -> DecodeFailure:
    said = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, EOFError) or "truncat" in said.lower() or "read past end" in said.lower():
        return DecodeFailure("truncated", f"the image is cut off ({said})", _REPAIR)
    return DecodeFailure("damaged", f"the image is damaged ({said})", _REPAIR)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Canvas of an extended WebP, else (1, 1): Pillow's decoder takes its memory while the header is read."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30:
        return 1, 1
    return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")


def _check_area(width: int, height: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise DecodeFailure("empty", f"{width} x {height} pixels", _REPAIR)
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        allowed = f"{limits.max_pixels:,} pixels and {limits.max_side:,} a side"
        settable = width * height <= MOST_PIXELS and max(width, height) <= limits.max_side
        hint = f"{_SMALLER}, or set {VARIABLE}={width * height}" if settable else _SMALLER
        raise DecodeFailure("too large", f"{width} x {height} pixels, more than the {allowed} allowed", hint)


def _has_16_bits(image: Any) -> bool:
    """Whether channels are stored in 16 bits, by what the decoder gets to know (`RGB;16B`)."""
    told = image.tile[0][3] if image.tile else ""
    return any(";16" in part for part in (told if isinstance(told, tuple) else (told,)) if isinstance(part, str))


def _animated(image: Any) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except _DAMAGED:  # a damaged second frame matters to nobody
        return False


def _upright(image: Any) -> Any:
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except _DAMAGED:  # EXIF is broken more often than images are
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = {key: image.info[key] for key in ("transparency",) if key in image.info}
    return turned


def _channels(image: Any) -> Array:
    """uint8 (H, W, C) of an upright image in any of Pillow's modes. Raises `ValueError` for non-finite values."""
    mode, key = image.mode, image.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        values = np.asarray(image)
        grey = _eight_bit_grey(values)[:, :, None]
        if not isinstance(key, int):
            return grey
        return np.concatenate([*([grey] * 3), np.where(values == key, 0, 255).astype(np.uint8)[:, :, None]], axis=2)
    if mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    if key is not None or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
    elif mode in ("1", "L"):
        image = image.convert("L")
    else:
        image = image.convert("RGB")
    pixels = np.array(image, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _eight_bit_grey(values: npt.NDArray[Any]) -> Array:
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("its values are not all finite")
    start, span = _range(float(low), float(high), whole=values.dtype.kind != "f")
    grey = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS):  # some rows at a time: floats of all would take eight times the memory
        part = values[row : row + _ROWS].astype(np.float64)
        grey[row : row + _ROWS] = np.rint((part - start) * 255 / span)
    return grey


def _range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Where black is, and how far white is from it."""
    if low >= 0 and high <= (_DEEP if whole else 1):
        return 0.0, (_TWELVE if high <= _TWELVE else _DEEP) if whole else 1.0
    return low, max(high - low, 1e-12)

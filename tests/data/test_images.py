"""Decoding: every mode comes out as uint8, and what is no image or too large is refused, named, early and cheaply."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo_core.data.images import (
    MOST_PIXELS,
    DecodeFailure,
    ImageHeader,
    ImageLimits,
    image_header,
    limits_of,
    read_image,
)
from zoo_core.data.pixels import pixels_of
from zoo_core.errors import DataError, UsageError
from zoo_core.storage.kinds import kind_of

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A grey PNG, made by hand so that no encoder has to hold its pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    squeezer = zlib.compressobj(9)
    row = bytes(1 + 9400 // 8)
    rows = b"".join(squeezer.compress(row) for _ in range(9400)) + squeezer.flush()
    return png(9400, 9400, 1, rows)


# ---- what is read


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_lossless_formats_come_back_pixel_by_pixel(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(COLOUR if kind != "GIF" else GREY)
    path.write_bytes(saved(image, kind, **options))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8 and pixels.shape == (6, 8, 1 if kind == "GIF" and pixels.shape[2] == 1 else 3)
    expected = COLOUR if kind != "GIF" else np.broadcast_to(GREY[:, :, None], pixels.shape)
    assert (pixels == expected).all() and image_header(path) == (8, 6, False, False, False)
    pixels[0] = 0  # writable: a tensor may be made of it without a copy


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(saved(Image.fromarray(COLOUR), "JPEG", quality=95))
    assert read_image(path).shape == (6, 8, 3)


def grey_with_alpha() -> Image.Image:
    return Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(255 - GREY)])


def palette(transparent: bool) -> bytes:
    image = Image.frombytes("P", (2, 2), bytes([0, 1, 2, 1]))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return saved(image, "PNG", **({"transparency": 1} if transparent else {}))


def test_modes_become_grey_rgb_or_rgba() -> None:
    bits = saved(Image.fromarray(GREY > 100), "PNG")
    assert (read_image(bits)[:, :, 0] == np.where(GREY > 100, 255, 0)).all()
    both = read_image(saved(grey_with_alpha(), "PNG"))
    assert both.shape == (6, 8, 4) and (both[:, :, 1] == GREY).all() and (both[:, :, 3] == 255 - GREY).all()
    assert read_image(palette(False)).tolist()[0] == [[255, 0, 0], [0, 255, 0]]
    assert read_image(palette(True)).tolist()[0] == [[255, 0, 0, 255], [0, 255, 0, 0]]
    keyed = saved(Image.fromarray(COLOUR), "PNG", transparency=tuple(int(value) for value in COLOUR[2, 3]))
    assert read_image(keyed).shape == (6, 8, 4) and read_image(keyed)[2, 3, 3] == 0
    red = Image.new("RGB", (8, 8), (200, 10, 10))
    assert np.abs(read_image(saved(red.convert("CMYK"), "JPEG")).astype(int) - [200, 10, 10]).max() < 12


def test_sixteen_bits_and_floats_are_scaled_to_eight() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for kind in ("PNG", "TIFF", "PPM"):
        assert (read_image(saved(Image.fromarray(deep), kind))[:, :, 0].ravel() == np.arange(256)).all()
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    assert (read_image(saved(Image.fromarray(unit), "TIFF"))[:, :, 0].ravel() == np.arange(256)).all()
    wide = read_image(saved(Image.fromarray(unit * 4000 - 1000), "TIFF"))
    assert wide.min() == 0 and wide.max() == 255
    unit[3, 3] = np.nan
    with pytest.raises(DataError, match="not all finite"):
        read_image(saved(Image.fromarray(unit), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_as_pillow_does(orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(GREY)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(image, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert (read_image(data)[:, :, 0] == expected).all()
    if orientation == 6:
        assert (read_image(data)[:, :, 0] == np.rot90(GREY, -1)).all() and image_header(data)[:2] == (8, 6)


def test_broken_exif_costs_the_turn_not_the_image() -> None:
    data = saved(Image.fromarray(COLOUR), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 20)
    assert read_image(data).shape == (6, 8, 3)


def test_an_animation_gives_its_first_frame_however_many_follow() -> None:
    frames = [Image.new("L", (4, 4), shade % 256) for shade in range(20)]
    data = saved(frames[7], "GIF", save_all=True, append_images=frames)
    assert (read_image(data)[:, :, :1] == 7).all() and image_header(data) == (4, 4, True, False, False)
    # A hundred thousand more frames, by repeating the last one's blocks.
    start = data.rindex(b"\x21\xf9\x04")
    long = data[:-1] + data[start:-1] * 100_000 + b"\x3b"
    started = time.perf_counter()
    assert (read_image(long)[:, :, :1] == 7).all() and image_header(long) == (4, 4, True, False, False)
    assert time.perf_counter() - started < 0.5


# ---- what is refused

REFUSED: dict[str, tuple[bytes, str]] = {
    "text.png": (b"hello, I am a text\n", "not an image that can be read"),
    "empty.png": (b"", "the file is empty"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "xml.svg": (b'\xef\xbb\xbf\n<?xml version="1.0"?><svg/>', "an XML document"),
    "page.jpg": (b"<!doctype html><html>404</html>", "a web page"),
    "evil.png": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94\x8c\x01a\x94]\x94(K\x01K\x02K\x03es.", "a Python pickle"),
    "archive.jpg": (b"PK\x03\x04" + bytes(40), "a ZIP archive"),
    "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
    "head.png": (b"\x89PNG\r\n\x1a\n" + bytes(4), "starts like a PNG file, but its header is damaged"),
    "sound.png": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), "not an image but a WAV recording"),
    "sound.jpg": (b"OggS" + bytes(40), "not an image but an Ogg recording"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "table.png": (b"PAR1" + bytes(40), "a Parquet table"),
    "none.png": (png(0, 5, 8, zlib.compress(b"")), "pixels|damaged"),
}


def failure_of(path: Path) -> DecodeFailure:
    """What is wrong with the header of an image."""
    with pytest.raises(DecodeFailure) as caught:
        image_header(path)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_named_with_the_reason(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path)
    assert str(path) in caught.value.message
    assert failure_of(path).message in caught.value.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_image_that_is_cut_off_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    data = saved(noise, kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"cut off|damaged"):
        read_image(path)
    with pytest.raises(DecodeFailure) as caught:
        read_image(path)
    problem = caught.value
    assert problem.reason in ("truncated", "damaged") and "bad: skip" in problem.hint


def test_a_damaged_checksum_is_noticed() -> None:
    data = bytearray(saved(Image.fromarray(COLOUR), "PNG"))
    data[data.index(b"IDAT") + 12] ^= 0x55
    with pytest.raises(DataError, match=r"damaged|cut off"):
        read_image(bytes(data))


def test_anything_flipped_gives_a_image_or_a_data_error() -> None:
    draw = np.random.default_rng(2)
    tried = 0
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"):
        data = saved(Image.fromarray(COLOUR), kind)
        for _ in range(150):
            spoilt = bytearray(data)
            for place in draw.integers(0, len(data), int(draw.integers(1, 4))):
                spoilt[place] = draw.integers(256)
            try:
                pixels = read_image(bytes(spoilt))
                assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4)
            except DataError:
                tried += 1
    assert tried > 100


CHILD = """
import sys, time
from pathlib import Path
from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from zoo_core.errors import DataError
from zoo_core.data.images import read_image
from zoo_core.testing import peak_memory
before = peak_memory()
for path in sys.argv[1:]:
    started = time.perf_counter()
    try:
        read_image(Path(path))
    except DataError as error:
        assert "allowed" in error.message, error.message
    else:
        raise SystemExit(f"{path} was read")
    assert time.perf_counter() - started < 0.5, path
print(peak_memory() - before)
"""


def test_bombs_are_refused_before_they_cost_memory(tmp_path: Path) -> None:
    extended = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0" * 2 + b"VP8 " + bytes(12)
    bits = struct.pack("<I", 16382 | (16382 << 14))
    lossless = b"WEBPVP8L" + struct.pack("<I", 20) + b"\x2f" + bits + bytes(15)
    files = {
        "bits.png": bomb(),
        "long.png": png(200_000, 2, 8, zlib.compress(bytes(400_002))),
        "huge.png": png(2**31 - 1, 2**31 - 1, 8, zlib.compress(bytes(100))),
        "canvas.webp": b"RIFF" + struct.pack("<I", len(extended)) + extended,
        "lossless.webp": b"RIFF" + struct.pack("<I", len(lossless)) + lossless,
        "screen.gif": b"GIF89a" + struct.pack("<HH", 60000, 60000) + b"\x80\0\0" + bytes(6)
        + b"\x2c" + struct.pack("<HHHH", 0, 0, 60000, 60000) + b"\0\x02\x02\x44\x01\0\x3b",
        "header.ppm": b"P6 50000 50000 255\n" + bytes(100),
    }  # fmt: skip
    assert len(files["bits.png"]) < 15_000
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in files]
    run = subprocess.run([sys.executable, "-W", "error", "-c", CHILD, *paths], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 32_000  # KiB; the first alone would take 88 MB as one byte a pixel


def test_limits_can_be_set_and_count_bytes_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(Image.fromarray(COLOUR), "PNG"))
    for limits in (ImageLimits(max_pixels=47), ImageLimits(max_side=7), ImageLimits(max_bytes=20)):
        with pytest.raises(DataError, match="allowed"):
            read_image(path, limits=limits)
    assert read_image(path, limits=ImageLimits(max_pixels=48, max_side=8)).shape == (6, 8, 3)
    with path.open("r+b") as file:
        file.truncate((256 << 20) + 1)  # sparse
    problem = failure_of(path)
    assert "more than the 268,435,456 allowed" in problem.message


# ---- what is no ordinary file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


@pytest.mark.parametrize(
    "make", [pipe, folder, loop, dangling, lambda path: None], ids=["pipe", "folder", "loop", "dangling", "missing"]
)
def test_pipes_folders_loops_and_missing_files_are_refused_at_once(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    make(path)
    started = time.perf_counter()
    with pytest.raises(DataError, match=r"x\.png: "):
        read_image(path)
    problem = failure_of(path)
    assert time.perf_counter() - started < 0.5
    assert problem.reason == "missing or no ordinary file"


def test_devices_are_refused() -> None:
    with pytest.raises(DataError, match="found a pipe, a socket or a device"):
        read_image(Path("/dev/zero"))


def test_links_to_image_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(saved(Image.fromarray(COLOUR), "PNG"))
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "real.png")
    assert (read_image(link) == COLOUR).all()


def test_names_that_would_steer_the_terminal_are_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2Jx\u202e.png"
    path.write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert "\x1b" not in str(caught.value) and "\\x1b[2Jx\\u202e.png" in str(caught.value)


def test_bytes_are_named_as_the_caller_says() -> None:
    with pytest.raises(DataError, match=r"^table: row 3: not an image"):
        read_image(b"no", name="table: row 3")
    with pytest.raises(DataError, match=r"^the image: not an image"):
        read_image(b"no")


# ---- one array for every way in


def turned() -> tuple[Image.Image, Image.Exif]:
    """A photo 30 wide and 20 high as its sensor saw it, blue left and red right, to be turned by a quarter."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15, 2] = pixels[:, 15:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(pixels), exif


def test_a_path_its_bytes_and_its_pil_image_give_the_same_array(tmp_path: Path) -> None:
    image, exif = turned()
    for kind, suffix in (("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("TIFF", ".tif")):
        path = tmp_path / f"turned{suffix}"
        image.save(path, kind, exif=exif)
        whole = pixels_of(path, 0)
        assert whole.shape == (30, 20, 3)
        assert whole[0, 0, 2] > 200 and whole[-1, 0, 0] > 200  # blue above, red below
        with Image.open(path) as opened:
            assert (pixels_of(opened, 0) == whole).all()
        assert (pixels_of(path.read_bytes(), 0) == whole).all()


def test_a_pil_image_without_exif_and_one_that_is_turned_already_stay_as_they_are() -> None:
    from PIL import ImageOps

    image, exif = turned()
    opened = Image.open(io.BytesIO(saved(image, "PNG", exif=exif)))
    assert (pixels_of(ImageOps.exif_transpose(opened), 0) == pixels_of(opened, 0)).all()
    assert pixels_of(image, 0).shape == (20, 30, 3)


def test_a_camera_of_twelve_bits_keeps_its_grey_levels() -> None:
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF"):
        data = saved(Image.fromarray(deep), kind)
        assert len(np.unique(read_image(data))) == 256 and image_header(data) == (64, 64, False, True, False)
    brighter = read_image(saved(Image.fromarray(deep + 1), "PNG"))
    assert brighter.max() == 16  # 4,096 of 65,535


def test_whole_numbers_beyond_sixteen_bits_are_stretched_not_cut() -> None:
    values = np.array([[-100, 0], [50_000, 99_900]], np.int32)
    assert read_image(saved(Image.fromarray(values, "I"), "TIFF"))[:, :, 0].tolist() == [[0, 0], [128, 255]]


def test_a_transparent_grey_of_sixteen_bits_becomes_transparent() -> None:
    ramp = np.array([[0, 65535], [257, 514]], np.uint16)
    data = saved(Image.fromarray(ramp), "PNG", transparency=257)
    assert read_image(data)[:, :, 3].tolist() == [[255, 255], [0, 255]]
    assert read_image(data)[:, :, 0].tolist() == [[0, 255], [1, 2]]


# ---- the user's own bound


def test_scans_and_phones_are_read_and_the_bound_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    page = png(4960, 7016, 1, zlib.compress(bytes(7016 * (1 + 620)), 9))
    assert image_header(page) == (4960, 7016, False, False, False)  # A4 at 600 dpi
    assert image_header(png(8160, 6120, 8, b""))[:2] == (8160, 6120)  # 50 megapixels
    large = png(10_000, 10_000, 8, b"")
    problem = failure_of(large)
    assert problem.hint == "make it smaller, or set ZOO_MAX_PIXELS=100000000"
    monkeypatch.setenv("ZOO_MAX_PIXELS", "100000000")
    assert isinstance(image_header(large), ImageHeader)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "47")
    with pytest.raises(DataError, match="8 x 6 pixels, more than the 47 pixels"):
        pixels_of(Image.fromarray(COLOUR), 0)


@pytest.mark.parametrize("given", ["many", "-1", "0", "1e6", str(MOST_PIXELS + 1), "9" * 5000])
def test_an_impossible_bound_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="ZOO_MAX_PIXELS: expected a whole number from 1 to 178,956,970"):
        limits_of({"ZOO_MAX_PIXELS": given})


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_what_is_decoded_is_known_by_its_first_bytes(kind: str) -> None:
    found = kind_of(saved(Image.fromarray(COLOUR), kind)[:64])
    assert found is not None and found.raster
    assert kind_of(b"BM is a band") is None and kind_of(b"Papers\n") is None and kind_of(b"") is None

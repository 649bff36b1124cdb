from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from zoo_vision.images import plots

from zoo_core import DataError, UsageError
from zoo_core.tasks import Confusion

Pixels = NDArray[np.uint8]


def opened(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG" and image.mode in ("RGB", "RGBA")
        assert not [key for key in image.info if key not in ("dpi",)]
        return np.asarray(image.convert("RGB"))


def plain(height: int, width: int, *colour: int) -> Pixels:
    return np.full((height, width, len(colour)), colour, np.uint8)


def counts(classes: int = 4) -> NDArray[np.int64]:
    draw = np.random.default_rng(0)
    return draw.integers(0, 5, (classes, classes)) + np.eye(classes, dtype=np.int64) * 50


def box_of(sheet: Pixels, *colour: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of what has a colour; it must fill its box."""
    rows, columns = np.nonzero((sheet == colour).all(2))
    top, left, height, width = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == height * width
    return int(top), int(left), int(height), int(width)


def every_image() -> list[bytes]:
    images = [plain(8, 8, 200), plain(30, 50, 10, 200, 30), plain(12, 10, 1, 2, 3, 90)]
    return [
        plots.contact_sheet(images, captions=["eins", "zwei → drei", "äöü 日本"], columns=2),
        plots.grid([images, images], headings=["a", "b", "c"]),
        plots.confusion(Confusion.of_matrix(counts()), ["a", "b", "c", "$d$"]),
    ]


def test_the_same_input_gives_the_same_bytes_in_any_process() -> None:
    digest = hashlib.sha256(b"".join(every_image())).hexdigest()
    assert digest == hashlib.sha256(b"".join(every_image())).hexdigest()
    code = (
        "import runpy, sys, hashlib; made = runpy.run_path(sys.argv[1])['every_image']()\n"
        "print(hashlib.sha256(b''.join(made)).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo", "MPLBACKEND": "pdf"}
    command = [sys.executable, "-W", "error", "-c", code, __file__]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (result.stdout.strip(), result.stderr) == (digest, "")


def test_small_images_are_enlarged_to_squares_of_one_colour() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = (10, 20, 30)
    sheet = opened(plots.contact_sheet([image]))
    assert box_of(sheet, 10, 20, 30)[2:] == (48, 48)
    assert box_of(opened(plots.contact_sheet([image], scale=3)), 10, 20, 30)[2:] == (3, 3)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((28, 28), (84, 84)),
        ((96, 60), (96, 60)),
        ((200, 256), (200, 256)),
        ((1000, 500), (256, 128)),
        ((1, 3000), (1, 256)),
    ],
)
def test_images_of_any_size_get_a_size_for_the_eye(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert box_of(opened(plots.contact_sheet([plain(*shape, 9, 99, 199)])), 9, 99, 199)[2:] == size


def test_images_come_in_reading_order_and_rows_are_aligned() -> None:
    colours = [(10 * number + 5, 90, 40) for number in range(7)]
    sheet = opened(plots.contact_sheet([plain(96, 96, *colour) for colour in colours], columns=3))
    boxes = [box_of(sheet, *colour) for colour in colours]
    assert [box[0] for box in boxes[:3]] == [boxes[0][0]] * 3 and boxes[3][0] > boxes[0][0] + 96
    assert [box[1] for box in boxes[:3]] == sorted({box[1] for box in boxes})
    assert [box[1] for box in boxes[3:6]] == [box[1] for box in boxes[:3]]
    bottom, right = sheet.shape[0] - boxes[6][0] - 96, sheet.shape[1] - boxes[2][1] - 96
    assert boxes[0][0] == boxes[0][1] == right == bottom


def test_fewer_images_than_columns_leave_no_empty_space() -> None:
    one = opened(plots.contact_sheet([plain(96, 96, 1, 2, 3)], columns=8))
    assert one.shape[1] < 150


def test_transparent_parts_show_light_chequers() -> None:
    image = plain(96, 96, 255, 0, 0, 0)
    image[40:60, 40:60, 3] = 255
    sheet = opened(plots.contact_sheet([image]))
    assert box_of(sheet, 255, 0, 0)[2:] == (20, 20)
    squares = sheet[20 : 20 + 96, 20 : 20 + 96]
    assert {int(value) for value in squares[:40, :40].ravel()} == {232, 255}
    assert len({tuple(map(int, squares[row, column])) for row, column in ((0, 0), (0, 8), (8, 0))}) == 2


def test_captions_stand_below_their_image_and_stay_within_their_cell() -> None:
    image = plain(96, 96, 50, 60, 70)
    long = "an endless caption that could never fit below an image of this size, not even on two lines of it"
    bare, short, cut = (
        opened(plots.contact_sheet([image] * 2, captions=captions))
        for captions in ((), ["cat", "dog"], [long, "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik"])
    )
    assert bare.shape[0] < short.shape[0] < cut.shape[0]
    assert short.shape[1] == bare.shape[1] and bare.shape[1] < cut.shape[1] < 1.5 * bare.shape[1]
    below = cut[20 + 96 + 2 :]
    middle = cut.shape[1] // 2
    assert (below < 128).any() and (below[:, middle - 5 : middle + 5] == 255).all()
    assert (below[:, :20] == 255).all() and (below[:, -20:] == 255).all() and (below[-8:] == 255).all()


def test_every_letter_is_shown_or_visibly_replaced() -> None:
    one, other, newline = (plots.contact_sheet([plain(96, 96, 1)], captions=[text]) for text in ("日", "\x07", "a\nb"))
    assert one == other == plots.contact_sheet([plain(96, 96, 1)], captions=["\N{REPLACEMENT CHARACTER}"])
    assert opened(newline).shape[0] > opened(one).shape[0]
    letters = [plots.contact_sheet([plain(96, 96, 1)], captions=[text]) for text in "äößЖα→✓"]
    assert len({*letters, one}) == 8


def test_headings_stand_above_their_columns() -> None:
    rows = [[plain(28, 28, 5, 5, 5), plain(28, 28, 90, 5, 5)]]
    bare, headed = opened(plots.grid(rows)), opened(plots.grid(rows, headings=["original", "masked"]))
    assert headed.shape[0] > bare.shape[0] + 10
    for colour in ((5, 5, 5), (90, 5, 5)):
        top, left, _, width = box_of(headed, *colour)
        ink = np.flatnonzero(np.any(headed[: top - 2, left - 7 : left + width + 7] < 128, axis=(0, 2)))
        assert abs(ink.mean() - (width + 14) / 2) < 6


def test_a_grid_may_have_rows_of_other_lengths() -> None:
    rows = [[plain(96, 96, 5, 5, 5)], [plain(96, 96, 90, 5, 5), plain(50, 96, 5, 90, 5)]]
    sheet = opened(plots.grid(rows))
    assert box_of(sheet, 5, 5, 5)[1] == box_of(sheet, 90, 5, 5)[1] < box_of(sheet, 5, 90, 5)[1]


def test_a_thousand_classes_are_shown_by_the_most_confused() -> None:
    many = np.diag(np.full(1000, 5))
    many[700, 3] = many[3, 999] = 4
    labels = [f"class {number}" for number in range(1000)]
    assert Confusion.of_matrix(many).most_confused(3) == [3, 700, 999]
    sheet, whole = (
        opened(plots.confusion(Confusion.of_matrix(many[:shown, :shown]), labels[:shown])) for shown in (1000, 60)
    )
    assert sheet.size < 1.2 * whole.size and sheet.shape[0] < 3000


@pytest.mark.parametrize("labels", [list("abcd"), ["a very long label " * 5] * 4, ["$x^", "_", "日本", ""]])
def test_confusions_of_any_labels_are_drawn(labels: list[str]) -> None:
    assert opened(plots.confusion(Confusion.of_matrix(counts()), labels)).shape[0] > 200


def test_many_classes_have_room_for_their_names() -> None:
    sheet = opened(plots.confusion(Confusion.of_matrix(counts(60)), [f"class {number}" for number in range(60)]))
    assert 60 * 18 < min(sheet.shape[:2]) < 60 * 18 + 400


def test_right_is_blue_wrong_is_orange_and_empty_rows_are_grey() -> None:
    sheet = opened(plots.confusion(Confusion.of_matrix([[0, 7, 0], [0, 7, 0], [0, 0, 0]]), ["a", "b", "c"])).astype(int)
    red, green, blue = np.moveaxis(sheet, 2, 0)
    strong = abs(red - blue) > 60
    rows, columns = (np.nonzero(strong & (blue > red)), np.nonzero(strong & (red > blue)))
    assert rows[0].mean() > columns[0].mean() + 40 and abs(rows[1].mean() - columns[1].mean()) < 3
    assert len(rows[0]) > 2000 and len(columns[0]) > 2000
    grey = (red == 239) & (green == 239) & (blue == 239)
    assert np.nonzero(grey)[0].mean() > rows[0].mean() + 40


def test_rounded_figures_never_claim_all_or_nothing() -> None:
    shares = [1.0, 0.996, 0.99, 0.5, 0.01, 0.001]
    assert [plots._percent(share) for share in shares] == ["100", ">99", "99", "50", "1", "<1"]


def test_heat_lies_where_it_should_and_cold_leaves_the_image() -> None:
    image = plain(40, 60, 90, 90, 90)
    heat = np.zeros((40, 60))
    heat[10:20, 30:40] = 1
    heat[0, 0] = np.nan
    made = plots.overlay(image, heat)
    assert made.shape == (40, 60, 3) and made.dtype == np.uint8
    changed = (made != 90).any(2)
    assert changed[10:20, 30:40].all() and changed.sum() == 100
    red, _, blue = made[15, 35].astype(int)
    assert red > blue + 80


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_heat_of_another_size_is_stretched_over_any_image(channels: int) -> None:
    made = plots.overlay(plain(40, 60, *(100, 100, 100, 255)[:channels]), np.array([[0.0, 1.0]]))
    assert made.shape == (40, 60, 3)
    red = made[:, :, 0].astype(int) - made[:, :, 2]
    assert (red[:, 50:] > 60).all() and (red[:, :8] < 10).all()


def test_more_heat_is_never_paler() -> None:
    heat = np.linspace(0, 1, 256)[None]
    made = plots.overlay(plain(1, 256, 128, 128, 128), heat).astype(int)
    assert (np.diff(made[0, :, 0] - made[0, :, 1]) >= -1).all()


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: plots.contact_sheet([]), DataError, "no images to show"),
        (lambda: plots.grid([]), DataError, "no images to show"),
        (lambda: plots.grid([[], []]), DataError, "no images to show"),
        (lambda: plots.contact_sheet([plain(2, 2, 1)], captions=["a", "b"]), UsageError, "captions: 2 for 1"),
        (lambda: plots.contact_sheet([plain(2, 2, 1)], columns=0), UsageError, "columns: at least 1"),
        (lambda: plots.contact_sheet([plain(2, 2, 1)], scale=-1), UsageError, "scale: at least 0"),
        (lambda: plots.grid([[plain(2, 2, 1)]], headings=["a", "b"]), UsageError, "headings: 2 for 1 columns"),
        (lambda: plots.contact_sheet([np.zeros((2, 2), np.uint8)]), DataError, "expected an image of shape"),
        (
            lambda: plots.confusion(Confusion.of_matrix(counts()), ["a"]),
            UsageError,
            "expected those of 1 classes, found 4",
        ),
        (lambda: plots.confusion(Confusion.of_matrix(0 * counts()), list("abcd")), DataError, "no predictions"),
        (lambda: plots.overlay(plain(2, 2, 1), np.zeros((1, 2, 2))), DataError, "heat map of shape"),
    ],
)
def test_what_can_not_be_drawn_is_named(draw: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw()

"""Images of results: contact sheets, grids, confusion matrices and heat maps; the same input gives the same bytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo_core import DataError, UsageError
from zoo_core.tasks import INK, Confusion, drawable, figure_png, font_file, new_figure, shortened, text_style
from zoo_vision.preprocessor import Pixels, require_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WHITE, _OUTLINE, _NOTHING = "#ffffff", "#d4d4d4", "#efefef"
_RIGHT, _WRONG = "#1f5f99", "#d9571e"
"""Blue and orange: apart from each other for every kind of colour vision."""
_CHEQUERS = (255, 232)
"""Grey levels of the ground under transparent pixels."""
_CHEQUER = 8
_WANTED, _LARGEST = 96, 256
"""Longer side in pixels that small images are enlarged to and large ones reduced to."""
_MARGIN, _GAP, _ABOVE_TEXT, _LEADING = 20, 14, 5, 16
_HEAT = np.array([[255, 236, 140], [254, 178, 60], [240, 90, 40], [200, 16, 46]], np.float64)
"""Colours from little to much heat, light enough at first to let the image show."""
_FIGURES, _CLASSES_NAMED = 20, 32
"""Most classes that a confusion matrix has figures and long names for."""
_CLASSES = 60
"""Classes of a confusion matrix that are shown at most."""


class _Cell(NamedTuple):
    image: Image.Image
    lines: list[str]


def contact_sheet(images: Sequence[Pixels], *, captions: Sequence[str] = (), columns: int = 8, scale: int = 0) -> bytes:
    """PNG of images in reading order, `columns` to a row, each above its caption.

    `scale` enlarges every image so many times; 0 brings small ones to about 96 pixels and large ones to 256. Long
    captions take two lines and end in an ellipsis. Raises `UsageError` for captions of another number, `DataError`
    where nothing is to be shown.
    """
    if captions and len(captions) != len(images):
        raise UsageError(f"captions: {len(captions)} for {len(images)} images")
    _require_columns(columns, scale)
    shown = [_shown(image, scale) for image in images]
    texts = captions or [""] * len(shown)
    width = _cell_width(shown, texts, _font())
    cells = [_Cell(one, _wrapped(text, _font(), width)) for one, text in zip(shown, texts, strict=True)]
    return _png(_laid_out([cells[start : start + columns] for start in range(0, len(cells), columns)], [], width))


def grid(rows: Sequence[Sequence[Pixels]], *, headings: Sequence[str] = ()) -> bytes:
    """PNG of rows of images below the headings of their columns, for instance original, masked, reconstructed.

    Raises `UsageError` for headings of another number than columns, `DataError` where nothing is to be shown.
    """
    columns = max((len(row) for row in rows), default=0)
    if headings and len(headings) != columns:
        raise UsageError(f"headings: {len(headings)} for {columns} columns")
    shown = [[_shown(image, 0) for image in row] for row in rows]
    width = _cell_width([one for row in shown for one in row], headings, _font(bold=True))
    above = [_wrapped(heading, _font(bold=True), width) for heading in headings]
    return _png(_laid_out([[_Cell(one, []) for one in row] for row in shown], above, width))


def confusion(counts: Confusion, labels: Sequence[str]) -> bytes:
    """PNG of a confusion matrix (C, C): rows are true classes, shown as shares of their row; right blue, wrong orange.

    Of more than 60 classes the most confused are shown, so that time and memory don't grow with their number.

    Raises `UsageError` for another number of classes, `DataError` for a matrix of zeros.
    """
    if counts.classes != len(labels):
        raise UsageError(f"counts: expected those of {len(labels)} classes, found {counts.classes}")
    if not counts.total:
        raise DataError("there are no predictions to draw a confusion matrix of")
    shown = counts.most_confused(_CLASSES)
    figure = _confusion_figure(counts, shown, [drawable(labels[place]) for place in shown])
    return figure_png(figure, margin=0.2)


def overlay(image: Pixels, heat: NDArray[np.floating[Any]]) -> Pixels:
    """The image as uint8 (H, W, 3) with `heat` (any height and width, in [0, 1]) laid over it, hotter is denser.

    Raises `DataError` for what is no image or no map.
    """
    ground = np.asarray(_on_chequers(image)).astype(np.float64)
    if heat.ndim != 2 or not heat.size:
        raise DataError(f"expected a heat map of shape (H, W), found {heat.shape}")
    heat = np.nan_to_num(np.asarray(heat, np.float32), nan=0.0).clip(0, 1)
    if heat.shape != ground.shape[:2]:
        size = (ground.shape[1], ground.shape[0])
        heat = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
    steps = np.linspace(0, 1, len(_HEAT))
    colours = np.stack([np.interp(heat, steps, _HEAT[:, channel]) for channel in range(3)], 2)  # (H, W, 3)
    # Half of the colour is taken out of the image, so that the map's colours speak.
    ground = 0.5 * ground + 0.5 * (ground @ (0.299, 0.587, 0.114))[:, :, None]  # ITU-R 601 luminance
    share = 0.8 * np.sqrt(heat)[:, :, None]  # (H, W, 1); the root lifts what is faint
    blended: Pixels = np.rint(ground * (1 - share) + colours * share).astype(np.uint8)
    return blended


def _require_columns(columns: int, scale: int) -> None:
    if columns < 1 or scale < 0:
        raise UsageError(f"columns: at least 1 and scale: at least 0, found {columns} and {scale}")


def _shown(image: Pixels, scale: int) -> Image.Image:
    """The image as RGB at the size of a sheet; pixels stay squares when they are enlarged."""
    require_image(image)
    height, width = image.shape[:2]
    factor = scale or max(1, round(_WANTED / max(height, width)))
    if not scale and max(height, width) > _LARGEST:
        share = _LARGEST / max(height, width)
        size = (max(1, round(width * share)), max(1, round(height * share)))
        return _on_chequers(np.asarray(_pillow(image).resize(size, Image.Resampling.LANCZOS)))
    return _on_chequers(image.repeat(factor, 0).repeat(factor, 1))


def _pillow(image: Pixels) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else np.ascontiguousarray(image))


def _on_chequers(image: Pixels) -> Image.Image:
    """RGB, with a light chequered ground where the image is transparent."""
    image = image[:, :, None] if image.ndim == 2 else image
    require_image(image)
    drawn = _pillow(image)
    if image.shape[2] != 4:
        return drawn.convert("RGB")
    rows, columns = (np.arange(side) // _CHEQUER for side in image.shape[:2])
    squares = np.array(_CHEQUERS, np.uint8)[(rows[:, None] + columns) % 2]
    ground = Image.fromarray(squares).convert("RGB")
    ground.paste(drawn, mask=drawn)
    return ground


def _laid_out(rows: list[list[_Cell]], headings: list[list[str]], width: int) -> Image.Image:
    """Cells of equal size on white; each row is as high as its highest image and longest caption."""
    if not any(rows):
        raise DataError("there are no images to show")
    columns = max(len(row) for row in rows)
    heights = [max(cell.image.height for cell in row) + max(_text_height(cell.lines) for cell in row) for row in rows]
    above = max((len(lines) for lines in headings), default=0) * _LEADING
    top = _MARGIN + (above + _ABOVE_TEXT + 3 if above else 0)
    sheet = Image.new(
        "RGB",
        (2 * _MARGIN + columns * width + (columns - 1) * _GAP, top + sum(heights) + (len(rows) - 1) * _GAP + _MARGIN),
        _WHITE,
    )
    draw = ImageDraw.Draw(sheet)
    for column, lines in enumerate(headings):
        left = _MARGIN + column * (width + _GAP)
        _write(draw, lines, left + width / 2, _MARGIN + above - len(lines) * _LEADING, _font(bold=True))
    for row, height in zip(rows, heights, strict=True):
        tallest = max(cell.image.height for cell in row)
        for column, cell in enumerate(row):
            left = _MARGIN + column * (width + _GAP)
            _place(sheet, draw, cell.image, left + (width - cell.image.width) // 2, top, tallest)
            _write(draw, cell.lines, left + width / 2, top + tallest + _ABOVE_TEXT, _font())
        top += height + _GAP
    return sheet


def _place(sheet: Image.Image, draw: ImageDraw.ImageDraw, image: Image.Image, left: int, top: int, room: int) -> None:
    """Paste an image in the middle of the room it has, with a hairline that tells a white one from the sheet."""
    top += (room - image.height) // 2
    draw.rectangle((left - 1, top - 1, left + image.width, top + image.height), outline=_OUTLINE)
    sheet.paste(image, (left, top))


def _write(draw: ImageDraw.ImageDraw, lines: list[str], middle: float, top: int, font: ImageFont.FreeTypeFont) -> None:
    for number, line in enumerate(lines):
        draw.text((middle, top + number * _LEADING), line, fill=INK, font=font, anchor="ma")


def _text_height(lines: list[str]) -> int:
    return _ABOVE_TEXT + len(lines) * _LEADING if lines else 0


def _cell_width(images: Sequence[Image.Image], texts: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    """As wide as the widest image, and up to half as wide again where a text needs it."""
    widest = max((image.width for image in images), default=1)
    longest = max((font.getlength(drawable(line)) for text in texts for line in text[:200].split("\n")), default=0)
    return max(widest, min(int(longest) + 1, max(widest * 3 // 2, _WANTED)))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text's lines, each broken once where it is too long and then cut."""
    lines: list[str] = []
    for paragraph in text[:400].split("\n")[:3] if text else ():
        words = drawable(paragraph).split()
        # As many words as fit, one at least.
        first = next((n for n in range(len(words), 1, -1) if font.getlength(" ".join(words[:n])) <= width), 1)
        parts = [" ".join(words[:first]), " ".join(words[first:])]
        lines += [shortened(part, width, font.getlength) for part in parts if part]
    return lines


@functools.cache
def _font(*, bold: bool = False) -> ImageFont.FreeTypeFont:
    # The simple layout is in every build of Pillow, and gives the same pixels in each.
    return ImageFont.truetype(str(font_file(bold=bold)), 12, layout_engine=ImageFont.Layout.BASIC)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _confusion_figure(counts: Confusion, shown: list[int], labels: list[str]) -> Figure:
    classes = len(labels)
    cell = 0.52 if classes <= 12 else 0.42 if classes <= _FIGURES else 0.17  # inches of a side
    side = max(cell * classes, 1.6)
    figure = new_figure(side, side, dpi=120)
    axes = figure.add_axes((0, 0, 1, 1))
    totals = counts.rows[shown][:, None]  # (C, 1)
    part = counts.part(shown)
    shares = np.divide(part, totals, out=np.zeros(part.shape), where=totals > 0)
    axes.imshow(_coloured(shares, totals[:, 0] == 0), interpolation="nearest")
    _name_classes(axes, labels, totals[:, 0])
    if classes <= _FIGURES:
        _write_figures(axes, shares)
    _write_title(axes, counts, classes, side)
    return figure


def _write_title(axes: Axes, counts: Confusion, shown: int, side: float) -> None:
    """How many were right, and what the cells show, `side` being the height of the axes in inches."""
    right, total = int(counts.right.sum()), counts.total
    cells = "cells: % of the row" if shown <= _FIGURES else "darker: a larger share of the row"
    if shown < counts.classes:
        cells = f"the {shown} most confused of {counts.classes:,} classes; {cells}"
    lines = (
        (0.32, f"{right:,} of {total:,} right ({right / total:.1%})", text_style(10.5)),
        (0.12, f"{cells}; at its end: images", {**text_style(7.5), "alpha": 0.65}),
    )
    for inches, words, look in lines:
        axes.text(0, 1 + inches / side, words, transform=axes.transAxes, **look)


def _coloured(shares: NDArray[np.float64], empty: NDArray[np.bool_]) -> NDArray[np.float64]:
    """RGB (C, C, 3): white to blue on the diagonal, white to orange elsewhere; grey rows had no images.

    Root of the share, so that rare errors show.
    """
    from matplotlib.colors import to_rgb

    right = np.eye(len(shares), dtype=bool)[:, :, None]
    full = np.where(right, to_rgb(_RIGHT), to_rgb(_WRONG))
    colours = 1 - np.sqrt(shares)[:, :, None] * (1 - full)
    colours[empty] = to_rgb(_NOTHING)
    return np.asarray(colours)


def _name_classes(axes: Axes, labels: list[str], totals: NDArray[Any]) -> None:
    classes = len(labels)
    size = 8.5 if classes <= _FIGURES else 7
    most = 32 if classes <= _CLASSES_NAMED else 24
    names = [label if len(label) <= most else label[: most - 1].rstrip() + "…" for label in labels]
    upright = classes <= 12 and max(map(len, names)) <= 5
    axes.set_yticks(range(classes), names, **text_style(size))
    turned: dict[str, Any] = (
        {} if upright else {"rotation": 90 if classes > _FIGURES else 45, "rotation_mode": "anchor"}
    )
    if not upright:
        turned |= {"ha": "right", "va": "center" if classes > _FIGURES else "top"}
    axes.set_xticks(range(classes), names, **text_style(size), **turned)
    axes.set_xlabel("predicted", labelpad=6, **text_style(9.5))
    axes.set_ylabel("true", labelpad=6, **text_style(9.5))
    axes.tick_params(length=0, pad=4)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)  # lines between cells
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=_NOTHING, linewidth=0.8 if classes <= _FIGURES else 0.4)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set(color=_OUTLINE, linewidth=0.8)
    for row, total in enumerate(totals):
        axes.text(
            classes - 0.5 + 0.12 * classes**0.3, row, f"{int(total):,}", va="center", alpha=0.6, **text_style(size - 1)
        )


def _write_figures(axes: Axes, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share:
            white = share > 0.45
            axes.text(
                column,
                row,
                _percent(share),
                ha="center",
                va="center",
                **{**text_style(8), "color": "white" if white else INK},
            )


def _percent(share: float) -> str:
    """Per cent without the sign; what is rounded never reads as all or nothing."""
    percent = 100 * share
    if percent < 1:
        return "<1"
    return ">99" if 99 < percent < 100 else f"{percent:.0f}"

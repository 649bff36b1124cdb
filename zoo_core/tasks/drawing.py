"""Figures as every plot of the zoo draws them: no window system, nothing to close, the same bytes for the same input."""

from __future__ import annotations

import functools
import io
from bisect import bisect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#303030"
"""Colour of words."""


def new_figure(width: float, height: float, *, dpi: int, layout: Literal["constrained"] | None = None) -> Figure:
    """An empty white figure of so many inches, which pyplot's global state knows nothing of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)


def figure_png(figure: Figure, *, margin: float | None = None) -> bytes:
    """PNG of a figure, as large as it was made, or as what is drawn in it and a margin in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    # Agg by name, whatever window system the user's settings ask for; no version or date in the file.
    FigureCanvasAgg(figure).print_figure(
        buffer,
        format="png",
        bbox_inches=None if margin is None else "tight",
        pad_inches=margin,
        metadata={"Software": None},
    )
    return buffer.getvalue()


def font_file(*, bold: bool = False) -> Path:
    """DejaVu Sans, which comes with matplotlib; other fonts know fewer alphabets, or are not there."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"


def text_style(size: float) -> dict[str, Any]:
    """How matplotlib writes words of so many points; a dollar sign is one, and no formula."""
    from matplotlib.font_manager import FontProperties

    return {"fontproperties": FontProperties(fname=str(font_file()), size=size), "color": INK, "parse_math": False}


def drawable(text: str) -> str:
    """The text with a replacement sign for every character that the font has no glyph for."""
    return "".join(one if ord(one) in _glyphs() and one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def shortened(text: str, room: float, width: Callable[[str], float]) -> str:
    """The text, cut with an ellipsis where `width` finds it wider than there is room for."""
    if width(text) <= room:
        return text
    fits = bisect(range(1, len(text)), room, key=lambda count: width(text[:count] + "…"))
    return text[:fits].rstrip() + "…"


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(str(font_file())).get_charmap())

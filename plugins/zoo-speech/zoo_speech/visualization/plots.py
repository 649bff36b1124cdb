"""Plots of speech: waveforms over log-mel spectrograms, characters at their times, what a decoder attends to.

The same input gives the same bytes, whatever the user's settings of matplotlib are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from zoo_core import DataError
from zoo_core.tasks import INK, drawable, figure_png, font_file, new_figure, shortened, text_style
from zoo_speech.audio.audio import Waveform, resampled
from zoo_speech.audio.features import SAMPLE_RATE, log_mel
from zoo_speech.audio.timed import Heat, Placed, Track, View
from zoo_speech.decoding.alignment import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4
"""Recordings in a plot."""
LONGEST = 30.0
"""Seconds of a recording that are shown."""
MOST_TOKENS = 80
"""Rows of a plot of attention."""

_FAINT, _OUTLINE = "#8a8a8a", "#d4d4d4"
_SOUND, _SURE, _BLANK, _HIDDEN = "#1f5f99", "#1f5f99", "#dcdcdc", "#ffffff"
_DPI = 110
_WIDTH, _LEFT, _RIGHT = 10.5, 0.95, 0.25
_ROOM = _WIDTH - _LEFT - _RIGHT
"""Inches that the time axis is long."""
_FULL = 0.85 * _ROOM
"""Inches of characters in a row; with more they would stand far from their times."""
_HOP = 0.01
"""Seconds of a log-mel frame."""
_LEADER, _ROW = 0.16, 0.19
"""Inches of the lines from times to characters, and of a row of these."""
_SIZE = 9.0
"""Points of a character."""
_DECADES = 1.5
"""A log-mel spectrogram's range from the loudest on, in its own unit of four decades of power."""


def recordings(views: Sequence[View]) -> bytes:
    """PNG of up to 4 recordings below each other: waveform, log-mel, texts and probabilities over a time axis in seconds.

    Each is as wide as the plot; of more than 30 s the first are shown. Characters stand below their times, moved aside
    where they would touch; where there are too many of them, words do. Raises `DataError` where nothing is to be shown.
    """
    if not views or any(not len(view.samples) for view in views):
        raise DataError("there are no recordings to show")
    with _settings():
        blocks = [_Block(_shortened(view)) for view in views[:MOST]]
        figure = new_figure(_WIDTH, sum(block.height for block in blocks), dpi=_DPI)
        top = figure.get_figheight()
        for block in blocks:
            block.draw(figure, top)
            top -= block.height
        return figure_png(figure)


def attention(
    spectrogram: Heat, weights: Heat, tokens: Sequence[str], *, seconds: float, title: str = "", hop: float = 0.02
) -> bytes:
    """PNG of log-mel (M, T) over weights (n, T') of n tokens, each row from white for nothing to blue for its most.

    Shows `seconds` of the window; `hop` are those of a column of the weights. More than 80 tokens are cut. Raises
    `DataError` where there isn't a row for each token.
    """
    if len(weights) != len(tokens) or not seconds > 0:
        raise DataError(f"expected a row of weights for each of {len(tokens)} tokens, found {weights.shape}")
    shown = min(len(tokens), MOST_TOKENS)
    if shown < len(tokens):
        title = f"the first {shown} of {len(tokens)} tokens: {title}"
    seconds = min(seconds, spectrogram.shape[1] * _HOP)
    with _settings():
        heights = (0.45, 1.3, 0.16 * shown + 0.12 * (shown > 0), 0.55)
        figure = new_figure(_WIDTH, sum(heights), dpi=_DPI)
        top = figure.get_figheight() - heights[0]
        axes = _axes(figure, top, heights[1] - 0.08, seconds)
        _title(axes, title)
        _draw_spectrogram(axes, spectrogram[:, : max(1, round(seconds / _HOP))])
        if shown:
            axes.tick_params(labelbottom=False, length=0, axis="x")
            axes = _axes(figure, top - heights[1], heights[2], seconds)
            _draw_weights(axes, weights[:shown, : max(1, round(seconds / hop))], tokens[:shown], hop)
        axes.set_xlabel("time, s", **text_style(8.5))
        return figure_png(figure)


class _Block:
    """One recording's axes, from the top: title, waveform, log-mel, lanes, probabilities."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.lanes = [_Rows(lane, view.seconds) for lane in view.lanes]
        self.parts: list[tuple[float, Callable[[Axes], None]]] = [
            (0.5, self._draw_waveform),
            (1.2, self._draw_log_mel),
            *((rows.height, rows.draw) for rows in self.lanes),
        ]
        if view.path is not None:
            # Directly below the text that it is the path of.
            self.parts.insert(3, (0.5, self._draw_path))
        self.height = 0.42 + sum(height + 0.06 for height, _ in self.parts) + 0.44

    def draw(self, figure: Figure, top: float) -> None:
        """Put everything below `top`, in inches from the figure's foot."""
        top -= 0.42
        for number, (height, fill) in enumerate(self.parts):
            axes = _axes(figure, top, height, self.view.seconds)
            fill(axes)
            if not number:
                _title(axes, self.view.title)
            last = number == len(self.parts) - 1
            axes.tick_params(axis="x", labelbottom=last, length=3 if last else 0)
            top -= height + 0.06
        axes.set_xlabel("time, s", **text_style(8.5))

    def _draw_waveform(self, axes: Axes) -> None:
        samples = np.asarray(self.view.samples, np.float64)
        peak = float(np.abs(samples).max()) or 1.0
        starts = np.unique(np.linspace(0, len(samples), round(_ROOM * _DPI), endpoint=False).astype(int))
        low, high = (function.reduceat(samples, starts) for function in (np.minimum, np.maximum))
        axes.fill_between(starts / self.view.rate, low, high, color=_SOUND, linewidth=0.6)
        axes.set_ylim(-1.05 * peak, 1.05 * peak)
        axes.set_yticks([-peak, peak], [f"{value:.2g}" for value in (-peak, peak)], **text_style(7.5))
        axes.set_ylabel("amplitude", **text_style(8))
        _shade(axes, self.view.hidden, _OUTLINE)

    def _draw_log_mel(self, axes: Axes) -> None:
        _draw_spectrogram(axes, _spectrogram(self.view))
        _shade(axes, self.view.hidden, _HIDDEN)

    def _draw_path(self, axes: Axes) -> None:
        path = self.view.path
        assert path is not None  # no such part otherwise
        for chosen, colour in ((path.path == 0, _BLANK), (path.path != 0, _SURE)):
            axes.stairs(np.where(chosen, path.probabilities, 0.0), path.edges, fill=True, color=colour, linewidth=0)
        axes.set_ylim(0, 1.05)
        axes.set_yticks([0, 1], ["0", "1"], **text_style(7.5))
        axes.set_ylabel("posterior", **text_style(8))


class _Rows:
    """A lane's characters, or its words where characters would touch, in as many rows as they need."""

    def __init__(self, lane: Track, seconds: float) -> None:
        self.name = lane.name
        symbols = list(lane.symbols)
        if sum(map(_wide, symbols)) > _FULL:
            symbols = [Placed(word.text, word.start, word.end) for word in words(lane.symbols)]
        count = 1
        while count < len(symbols) and any(sum(map(_wide, symbols[row::count])) > _FULL for row in range(count)):
            count += 1
        self.rows = [symbols[row::count] for row in range(count)]
        self.scale = seconds / _ROOM
        self.height = _LEADER + _ROW * count

    def draw(self, axes: Axes) -> None:
        """Lines from the times to the characters, on axes without a frame."""
        axes.set_ylim(0, self.height)
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(self.name, rotation=0, ha="right", va="center", labelpad=8, **text_style(8.5))
        if not any(self.rows):
            axes.text(
                0, self.height / 2, "nothing", transform=axes.get_yaxis_transform(), va="center", **text_style(8.5)
            )
        for number, row in enumerate(self.rows):
            wanted = np.array([(one.start + one.end) / 2 / self.scale for one in row])
            middles = side_by_side(wanted, np.array([_wide(one) for one in row]), _ROOM)
            foot = self.height - _LEADER - _ROW * number
            for one, middle, true in zip(row, middles * self.scale, wanted * self.scale, strict=True):
                if one.symbol.isspace():
                    continue
                axes.plot([true, middle], [self.height, foot], color=_FAINT, linewidth=0.5, zorder=1)
                look = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.4}} if number else {}
                axes.text(
                    middle, foot, drawable(one.symbol), ha="center", va="top", zorder=2, **look, **text_style(_SIZE)
                )


def side_by_side(wanted: NDArray[np.float64], widths: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    """Middles (n,) as near as can be, by least squares, to those that are wanted, so that nothing of these widths overlaps.

    All stay between 0 and `room` where that is at all possible.
    """
    if not len(wanted):
        return wanted
    from sklearn.isotonic import isotonic_regression

    packed = widths.cumsum() - widths / 2
    spare = max(0.0, room - float(widths.sum()))
    return np.asarray(isotonic_regression(wanted - packed, y_min=0.0, y_max=spare) + packed)


def _shortened(view: View) -> View:
    if view.seconds <= LONGEST:
        return view
    lanes = [Track(lane.name, [one for one in lane.symbols if one.end <= LONGEST]) for lane in view.lanes]
    title = f"the first {LONGEST:g} of {view.seconds:.0f} s: {view.title}"
    hidden = [(start, min(end, LONGEST)) for start, end in view.hidden if start < LONGEST]
    samples = view.samples[: round(LONGEST * view.rate)]
    return replace(view, samples=samples, title=title, lanes=lanes, hidden=hidden)


def _spectrogram(view: View) -> Heat:
    """(M, T) of the recording's time."""
    frames = max(3, math.ceil(view.seconds / _HOP))
    if view.spectrogram is not None:
        return view.spectrogram[:, :frames]
    samples = resampled(Waveform(np.asarray(view.samples, np.float32), view.rate), SAMPLE_RATE).samples
    samples = np.pad(samples, (0, max(0, round(frames * _HOP * SAMPLE_RATE) - len(samples))))
    with torch.no_grad():
        return log_mel(torch.from_numpy(np.ascontiguousarray(samples))[None]).values[0].numpy()[:, :frames]


def _draw_spectrogram(axes: Axes, values: Heat) -> None:
    bands, frames = values.shape
    loudest = max(0.0, float(values.max()))  # silence is black
    axes.imshow(
        values, origin="lower", aspect="auto", cmap="magma", extent=(0, frames * _HOP, -0.5, bands - 0.5),
        vmin=loudest - _DECADES, vmax=loudest,
    )  # fmt: skip
    axes.set_xlim(*axes.get_xlim())
    named = (0.5, 1, 2, 4)
    axes.set_yticks([_band(1_000 * kilohertz, bands) for kilohertz in named], map(str, named), **text_style(7.5))
    axes.set_ylabel("kHz, mel", **text_style(8))


def _band(hertz: float, bands: int) -> float:
    """Number of the band, a fraction, whose middle is there: Slaney's mel scale up to 8 kHz."""

    def mel(frequency: float) -> float:
        return frequency * 3 / 200 if frequency < 1_000 else 15 + 27 * float(np.log(frequency / 1_000) / np.log(6.4))

    return mel(hertz) / mel(8_000.0) * (bands + 1) - 1


def _draw_weights(axes: Axes, weights: Heat, tokens: Sequence[str], hop: float) -> None:
    rows, columns = weights.shape
    most = np.maximum(weights.max(1, keepdims=True), 1e-12)
    axes.imshow(
        weights / most, aspect="auto", cmap="Blues", extent=(0, columns * hop, rows - 0.5, -0.5), vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    names = [_clipped(drawable(token), _LEFT - 0.12, 7.5) for token in tokens]
    axes.set_yticks(range(rows), names, **text_style(7.5))
    axes.tick_params(axis="y", length=0)


def _shade(axes: Axes, stretches: Sequence[tuple[float, float]], colour: str) -> None:
    for start, end in stretches:
        axes.axvspan(start, end, facecolor=colour, alpha=0.7, linewidth=0, zorder=3)


# ------------------------------------------------------------------------------------------------------ figures


def _axes(figure: Figure, top: float, height: float, seconds: float) -> Axes:
    """Axes over time, `height` inches below `top`."""
    total = figure.get_figheight()
    axes = figure.add_axes((_LEFT / _WIDTH, (top - height) / total, _ROOM / _WIDTH, height / total))
    axes.set_xlim(0, seconds)
    axes.autoscale(False, axis="x")
    axes.spines[:].set(color=_OUTLINE, linewidth=0.8)
    axes.tick_params(labelsize=7.5, labelcolor=INK, color=_OUTLINE, pad=2)
    return axes


def _title(axes: Axes, words: str) -> None:
    axes.set_title(_clipped(drawable(" ".join(words.split())), _ROOM, 9.5), loc="left", pad=5, **text_style(9.5))


def _clipped(text: str, room: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than so many inches."""
    return shortened(text[:400], room, lambda words: _width(words, size))


def _wide(one: Placed) -> float:
    return 0.07 if one.symbol.isspace() else _width(one.symbol)


@functools.lru_cache(maxsize=4096)
def _width(text: str, size: float = _SIZE) -> float:
    """Inches that a text takes, with a little air beside it."""
    from matplotlib.font_manager import get_font

    font = get_font(str(font_file()))
    # Hinted as it will be drawn: letters are whole pixels apart.
    font.set_size(size, _DPI)
    font.set_text(drawable(text), 0.0)
    return float(font.get_width_height()[0]) / 64 / _DPI * 1.06 + (0.025 if len(text) == 1 else 0.06)


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib's own settings instead of the user's."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield

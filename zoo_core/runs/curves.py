"""Draws the learning curve of a run from its `metrics.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import DataError
from zoo_core.storage import fs
from zoo_core.tasks.drawing import figure_png, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = list[tuple[float, float]]
"""Points (step, value), ascending by step."""

HIDDEN = (
    "samples_per_second",
    "seconds_per_step",
    "units_per_second",
    "data_wait",
    "seconds",
    "epoch",
    "lr",
    "final",
)
"""What the metrics file has and a learning curve doesn't show."""

MAX_PANELS = 9
"""Panels of one plot; further metrics are left to the metrics file."""

NOTHING: Mapping[str, Mapping[str, float]] = {}


def draw_learning_curve(
    metrics: Path, plot: Path, *, title: str, baselines: Mapping[str, Mapping[str, float]] = NOTHING
) -> Path:
    """Write the curves of a `metrics.jsonl` as a PNG, one panel a metric, and return its path.

    `baselines` gives, by metric and baseline, the values to draw as dashed lines. Raises `DataError` if nothing was measured to
    draw or a line is malformed, `DiskError` if the plot can't be written.
    """
    curves = read_curves(metrics)
    if not curves:
        raise DataError(f"{metrics}: no figures to draw yet")
    fs.write_file(plot, figure_png(_figure(_panels(curves), title, baselines)))
    return plot


def read_curves(metrics: Path) -> dict[str, Curve]:
    """The curves by name, in the order of their first point; where a step comes twice the later line holds.

    A line that was cut off by a kill, so the last and without its end, is passed over; any other malformed line is a
    `DataError` with file and line.
    """
    curves: dict[str, dict[float, float]] = {}
    for number, line in enumerate(_whole_lines(fs.read_bytes(metrics)), start=1):
        record = _record(line, f"{metrics}:{number}")
        for name, value in _figures(record):
            curves.setdefault(name, {})[float(record["step"])] = value
    return {name: sorted(points.items()) for name, points in curves.items()}


def _whole_lines(data: bytes) -> list[bytes]:
    return [line for line in data[: data.rfind(b"\n") + 1].split(b"\n") if line]


def _record(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise DataError(f"{where}: not JSON") from None
    if not isinstance(record, Mapping) or not isinstance(record.get("step"), int):
        raise DataError(f"{where}: not an object with a step")
    return record


def _figures(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Names and finite numbers of a record, `evaluation/loss` for what is nested."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{name}/")
        elif _is_figure(value) and name != "step" and not set(name.split("/")) & set(HIDDEN):
            yield f"{prefix}{name}", float(value)


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _panels(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Curves by the metric they show, so that training and evaluation share a panel; losses first."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        panels.setdefault(name.split("/")[-1], {})[name] = curve
    order = sorted(panels, key=lambda metric: metric != "loss")
    return {metric: panels[metric] for metric in order[:MAX_PANELS]}


def _figure(
    panels: Mapping[str, Mapping[str, Curve]], title: str, baselines: Mapping[str, Mapping[str, float]]
) -> Figure:
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(4.2 * columns, 3.2 * rows, dpi=120, layout="constrained")
    figure.suptitle(_literal(title))
    for number, (metric, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw_panel(axes, metric, curves, baselines.get(metric, {}))
    return figure


def _draw_panel(axes: Axes, metric: str, curves: Mapping[str, Curve], baselines: Mapping[str, float]) -> None:
    for name, curve in curves.items():
        steps, values = zip(*curve, strict=True)
        marker = "o" if len(curve) < 20 else None
        axes.plot(steps, values, label=_literal(name), marker=marker, markersize=3, linewidth=1.4)
    for number, (baseline, value) in enumerate(baselines.items()):
        axes.axhline(
            value,
            label=_literal(f"baseline: {baseline}"),
            color=f"C{len(curves) + number}",
            linestyle="--",
            linewidth=1,
        )
    axes.set_title(_literal(metric))
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if len(curves) + len(baselines) > 1:
        axes.legend(fontsize="small")


def _literal(words: str) -> str:
    """`words` as they are: a dollar sign would start a formula, and a leading underscore hides a legend entry."""
    return words.replace("$", r"\$").lstrip("_")

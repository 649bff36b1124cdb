"""Learning curves: what is read from the metrics file, and that the plot shows it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo_core.errors import DataError
from zoo_core.runs.curves import draw_learning_curve, read_curves


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(path.read_bytes()))[:, :, :3]


def ink(path: Path) -> int:
    """Pixels that are coloured, so neither background nor grey text, grid and frame."""
    plot = pixels(path)
    return int(((plot.max(axis=2) - plot.min(axis=2)) > 0.2).sum())


def test_curves_are_read_by_name_with_the_later_line_winning(tmp_path: Path) -> None:
    metrics = write(
        tmp_path / "metrics.jsonl",
        {"step": 10, "loss": 2.0, "samples_per_second": 99.0, "lr/main": 0.1},
        {"step": 20, "loss": 1.5},
        {"step": 20, "evaluation": {"loss": 1.7, "accuracy": 0.5}},
        {"step": 20, "loss": 1.0, "note": "after a resume", "best": True},
        {"step": 30, "loss": float("nan")},
    )
    assert read_curves(metrics) == {
        "loss": [(10.0, 2.0), (20.0, 1.0)],
        "evaluation/loss": [(20.0, 1.7)],
        "evaluation/accuracy": [(20.0, 0.5)],
    }


def test_a_line_cut_off_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    metrics = write(tmp_path / "metrics.jsonl", {"step": 1, "loss": 2.0})
    with metrics.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_curves(metrics) == {"loss": [(1.0, 2.0)]}


@pytest.mark.parametrize("bad", ["{not json", "[1, 2]", '{"loss": 1.0}', '{"step": "one", "loss": 1.0}'])
def test_a_malformed_line_is_named_by_file_and_line(tmp_path: Path, bad: str) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": 2.0}\n' + bad + "\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: "):
        read_curves(metrics)


def test_nothing_to_draw_is_an_error_and_leaves_no_plot(tmp_path: Path) -> None:
    metrics = write(tmp_path / "metrics.jsonl", {"step": 1, "lr": 2.0})
    with pytest.raises(DataError, match="no figures"):
        draw_learning_curve(metrics, tmp_path / "curve.png", title="x")
    assert not (tmp_path / "curve.png").exists()


def test_the_plot_has_ink_and_more_of_it_with_a_baseline(tmp_path: Path) -> None:
    records = [{"step": step, "loss": 2.0 / (step + 1)} for step in range(30)]
    metrics = write(tmp_path / "metrics.jsonl", *records)
    alone = draw_learning_curve(metrics, tmp_path / "alone.png", title="a $tiny_ model")
    beside = draw_learning_curve(
        metrics, tmp_path / "beside.png", title="a $tiny_ model", baselines={"loss": {"majority": 1.0}}
    )
    assert alone.read_bytes().startswith(b"\x89PNG")
    assert ink(alone) > 500
    assert ink(beside) > ink(alone) + 200


def test_a_loss_that_falls_is_drawn_falling(tmp_path: Path) -> None:
    records = [{"step": step, "loss": 30.0 - step} for step in range(30)]
    curve = draw_learning_curve(write(tmp_path / "m.jsonl", *records), tmp_path / "c.png", title="")
    rows, columns = np.nonzero((pixels(curve).max(axis=2) - pixels(curve).min(axis=2)) > 0.2)
    left, right = rows[columns < np.quantile(columns, 0.2)].mean(), rows[columns > np.quantile(columns, 0.8)].mean()
    assert left < right  # row 0 is the top


def test_each_metric_gets_a_panel(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", *({"step": s, "loss": 1.0 + s} for s in range(3)))
    two = write(tmp_path / "two.jsonl", *({"step": s, "loss": 1.0 + s, "evaluation": {"f1": s}} for s in range(3)))
    narrow = pixels(draw_learning_curve(one, tmp_path / "one.png", title="")).shape
    wide = pixels(draw_learning_curve(two, tmp_path / "two.png", title="")).shape
    assert wide[1] == 2 * narrow[1] and wide[0] == narrow[0]


def test_importing_the_module_imports_no_matplotlib() -> None:
    code = "import sys, zoo_core.runs.curves; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

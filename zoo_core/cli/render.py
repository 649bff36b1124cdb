"""How answers reach the user: rich tables on a terminal, plain aligned lines in a pipe, one JSON document on request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from zoo_core.errors import printable
from zoo_core.registry.verdicts import verdicts

if TYPE_CHECKING:
    from rich.console import Console

    from zoo_core.contract.specs import TaskSpec
    from zoo_core.registry.records import Metric

NARROW = 8
"""Characters that a column needs, with the space before it, for its words to be read."""

EMPTY = "-"
"""What an empty cell shows, so that columns stay countable."""


class Output(Protocol):
    """A place for answers. Whatever it is given is escaped: no file name or card can steer a terminal."""

    def line(self, words: str = "") -> None:
        """One line."""

    def pairs(self, rows: Mapping[str, str]) -> None:
        """`key: value` lines, in the order given; empty values are left out."""

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows under headings; the first column is never cut."""

    def piece(self, words: str) -> None:
        """A part of a line, shown at once."""


class PlainOutput:
    """For pipes and files: no escape codes, no tabs, columns aligned with spaces, nothing cut."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def line(self, words: str = "") -> None:
        """One line, or several where `words` holds line breaks."""
        self.stream.write(printable(words) + "\n")
        self.stream.flush()

    def pairs(self, rows: Mapping[str, str]) -> None:
        """`key: value`, not aligned, so that a value stays greppable when a longer key appears."""
        for key, value in rows.items():
            if value:
                self.line(f"{cell(key)}: {cell(value)}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns two spaces apart; the last one isn't padded."""
        lines = [[cell(heading.upper()) for heading in headings], *([cell(value) for value in row] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
        for line in lines:
            padded = [value.ljust(width) for value, width in zip(line[:-1], widths, strict=False)]
            self.line("  ".join([*padded, line[-1]]).rstrip())

    def piece(self, words: str) -> None:
        """A part of a line, flushed."""
        self.stream.write(printable(words))
        self.stream.flush()


class RichOutput:
    """For terminals. Rich is imported when the first object is made, which a pipe never does."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self.console = terminal_console(stream, environ)

    def line(self, words: str = "") -> None:
        """One line, wrapped by the terminal itself so that it can be copied whole."""
        self.console.print(printable(words), soft_wrap=True)

    def pairs(self, rows: Mapping[str, str]) -> None:
        """Keys in a bold column of their own."""
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for key, value in rows.items():
            if value:
                grid.add_row(cell(key), cell(value))
        self.console.print(grid)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A light table as wide as the terminal allows; where that is too narrow for its columns, a block for each row."""
        from rich import box
        from rich.table import Table

        rows = [list(row) for row in rows]
        first = max((len(cell(row[0])) for row in rows), default=0)
        if first + NARROW * (len(headings) - 1) > self.console.width:
            for row in rows:
                self.pairs(dict(zip(headings, row, strict=True)))
                self.line()
            return
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, heading in enumerate(headings):
            table.add_column(cell(heading), no_wrap=number == 0, overflow="fold", header_style="bold")
        for row in rows:
            table.add_row(*(cell(value) for value in row))
        self.console.print(table)

    def piece(self, words: str) -> None:
        """A part of a line, shown at once."""
        self.console.file.write(printable(words))
        self.console.file.flush()


def output_for(stream: TextIO, environ: Mapping[str, str]) -> Output:
    """The right output for a stream: rich on a terminal, plain elsewhere."""
    return RichOutput(stream, environ) if is_terminal(stream, environ) else PlainOutput(stream)


def is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether escape codes are welcome: a terminal that isn't a dumb one."""
    return stream.isatty() and environ.get("TERM", "") != "dumb"


def terminal_console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """A rich console that takes every string literally; a non-empty NO_COLOR leaves the layout without colour."""
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=True,
        no_color=bool(environ.get("NO_COLOR")),
        markup=False,
        emoji=False,
        highlight=False,
    )


def write_json(stream: TextIO, document: Any) -> None:
    """One JSON document and a line break; numbers JSON can't say (NaN, infinities) become null."""
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False, default=str)
    stream.write(escaped_json(text) + "\n")
    stream.flush()


def escaped_json(text: str) -> str:
    """JSON with every character that can't be printed written as `\\uXXXX`: C1, DEL, and those that turn the direction."""
    # What may stand outside strings is printable or a line break, so that only strings change.
    return "".join(
        c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] if c != "\x7f" else "\\u007f" for c in text
    )


def _finite(value: Any) -> Any:
    """`value` with plain containers and without the floats that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def cell(value: str) -> str:
    """`value` on one line, escaped, and never empty."""
    return printable(" ".join(value.split())) or EMPTY


def count(value: int) -> str:
    """4,385,920 as `4.4 M`, 812 as `812`."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return str(value)


def size(value: int) -> str:
    """A number of bytes in decimal units: `17.5 MB`."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value} B"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`; `?` while it can't be told."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def number(value: float) -> str:
    """Four significant digits without trailing noise: `0.7468`, `12.5`, `1e-05`."""
    return f"{value:.4g}"


def plain_value(value: Any) -> str:
    """A configuration value as a user would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {plain_value(item)}" for key, item in value.items()) + "}"
    return str(value)


def question(name: str, task: TaskSpec) -> str:
    """What to type to ask a checkpoint, by what the task's inputs are."""
    if task.takes_sample_indices or task.input == "number":
        return f"zoo predict {name} --num 16"
    if task.input_suffixes or task.input == "file":
        return f"zoo predict {name} FILE{''.join(task.input_suffixes[:1])}"
    typed = {"json": "'JSON'", "row": "--file TABLE"}.get(task.input, '"..."')
    return f"zoo predict {name} {typed}"


def measured_with(metrics: Iterable[Metric]) -> list[str]:
    """A line for each checkpoint that figures were measured with: which figures, and which checkpoint."""
    names: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.measured_with:
            names.setdefault(metric.measured_with, []).append(metric.name)
    return [f"{', '.join(measured)}: measured with {checkpoint}" for checkpoint, measured in names.items()]


def metric_rows(metrics: Iterable[Metric]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table: one row a metric, one column a baseline, and the verdicts where an interval bears one."""
    known = list(metrics)
    names = list(dict.fromkeys(name for metric in known for name in metric.baselines))
    headings = ["metric", "value", *(f"baseline: {name}" for name in names)]
    rows = [
        [
            metric.name,
            number(metric.value) + (interval(metric.interval) if metric.interval else ""),
            *(number(metric.baselines[name]) if name in metric.baselines else EMPTY for name in names),
        ]
        for metric in known
    ]
    found = [verdicts(metric.interval, metric.better, metric.baselines) for metric in known]
    if not any(found):
        return headings, rows
    return [*headings, "verdict"], [[*row, words or EMPTY] for row, words in zip(rows, found, strict=True)]


def interval(ends: tuple[float, float]) -> str:
    """An interval behind its figure: ` [0.741, 0.783]`."""
    return f" [{number(ends[0])}, {number(ends[1])}]"

"""`zoo predict` and `zoo evaluate`."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from zoo_core.cli.render import EMPTY, Output, escaped_json, measured_with, metric_rows, number
from zoo_core.cli.session import Answer, Finished, Session
from zoo_core.cli.train import parse_columns
from zoo_core.contract.answers import BATCH, Prediction, Unreadable, answer_each, failure, is_failure
from zoo_core.contract.schema import from_data, parse_override
from zoo_core.data.tables.inputs import lines_of, parsed, rows_of
from zoo_core.data.tables.lines import MAX_LINE
from zoo_core.errors import DataError, UsageError
from zoo_core.storage.paths import expand, expanded

if TYPE_CHECKING:
    from zoo_core.config.loading import Loaded
    from zoo_core.contract.specs import TaskSpec
    from zoo_core.plugins.host import RegisteredComponent

_SHOWN = 20
"""Rows of a mapping that are shown."""

PARTLY = 1
"""What the program exits with where some inputs were answered and others could not be."""

STDIN = "-"
"""The input that stands for the lines of stdin."""

_OPTION = re.compile(r"[a-z_][a-z0-9_]*=.*", re.DOTALL)


def evaluate(arguments: Namespace, session: Session) -> Answer:
    """Measure a checkpoint and show each metric beside its baselines."""
    from zoo_core import api
    from zoo_core.training.hardware import destroy_process_group

    columns, settings = parse_columns(arguments.columns), dict(map(parse_override, arguments.settings))
    metrics, artifacts, notes = api.evaluate(
        arguments.model, arguments.data, split=arguments.split, columns=columns, settings=settings, zoo=session.zoo
    )
    if not destroy_process_group():
        raise Finished(0)
    if arguments.output:
        from zoo_core.cli.artifacts import keep_artifacts

        keep_artifacts(artifacts, expanded(arguments.output))

    def show(output: Output) -> None:
        for data, split, samples in dict.fromkeys((metric.data, metric.split, metric.samples) for metric in metrics):
            output.line(f"{arguments.model} on {data}, split {split}, {samples:,} samples")
        output.table(*metric_rows(metrics))
        for line in measured_with(metrics):
            output.line(line)

    return Answer(document=lambda: [asdict(metric) for metric in metrics], show=show, notes=notes)


def predict(arguments: Namespace, session: Session) -> Answer:
    """Ask a checkpoint. Options and inputs are checked before anything heavy is imported."""
    from zoo_core.registry.checkpoint import open_checkpoint

    words = [word for word in arguments.inputs if not _OPTION.fullmatch(word)]
    options = dict(parse_override(word) for word in arguments.inputs if _OPTION.fullmatch(word))
    words += arguments.after
    if arguments.seed is not None:
        options["seed"] = arguments.seed
    _require_inputs(words, arguments)
    card = open_checkpoint(arguments.model, session.registry).card
    if arguments.task or card.task:
        task = session.host.find("task", arguments.task or card.task, [card.plugin])
        _check_options(task, options)
        words += _numbers(arguments.num, task.spec)
    from zoo_core import api
    from zoo_core.cli.artifacts import ArtifactWriter
    from zoo_core.runs.folder import new_folder

    loaded = api.load(arguments.model, task=arguments.task, zoo=session.zoo)
    named = islice(_all_inputs(words, arguments.file, session.stdin, loaded.task_spec), arguments.limit)
    inputs, tally = parsed(loaded.task_spec.input, named), Tally(session.errors)
    if arguments.stream:
        if arguments.json:
            raise UsageError("--stream shows pieces and --json prints one document; give one of them")
        return Answer(
            document=list,
            show=lambda output: _stream(loaded, inputs, options, output, tally),
            exit_code=tally.exit_code,
        )
    listed = arguments.file is None and STDIN not in words
    batch = 1 if STDIN in words and session.stdin.isatty() else BATCH
    folder = expanded(arguments.output) if arguments.output else new_folder(card.name, Path("predictions"))
    keeper = ArtifactWriter(folder, loaded.task.prediction_artifacts)
    asked = loaded.options(options)
    answered = answer_each(lambda some: loaded.task.predict(some, asked), inputs, batch=batch)
    answers = keeper.keep(tally.count(answered))
    display = _show_each if listed else _show_lines

    def document() -> list[dict[str, Any]]:
        return [{"input": item, **answer} for item, answer in answers]

    def show(output: Output) -> None:
        display(answers, loaded.task_spec.outputs, output)
        for path in keeper.overviews:
            session.errors.line(f"all together: {path}")

    return Answer(document=document, show=show, exit_code=tally.exit_code)


class Tally:
    """Names each input that could not be answered as soon as it is known, and decides what the program exits with."""

    def __init__(self, errors: Output) -> None:
        self.errors = errors
        self.answered = self.failed = 0
        self._hints: set[str] = set()

    def count(self, answers: Iterable[tuple[Any, Prediction]]) -> Iterator[tuple[Any, Prediction]]:
        """The answers as they come; each hint is shown once."""
        for item, answer in answers:
            if is_failure(answer):
                self.failed += 1
                self.errors.line(f"error: {answer['error']}")
                if answer["hint"] and answer["hint"] not in self._hints:
                    self._hints.add(answer["hint"])
                    self.errors.line(answer["hint"])
            else:
                self.answered += 1
            yield item, answer
        if self.failed and self.answered:
            self.errors.line(f"{self.failed:,} of {self.failed + self.answered:,} inputs could not be answered")

    def exit_code(self) -> int:
        """0 where all were answered, 1 where some were, the code of bad data where none was."""
        if not self.failed:
            return 0
        return PARTLY if self.answered else DataError.exit_code


def _check_options(task: RegisteredComponent, options: dict[str, Any]) -> None:
    """The task has these options; an input may look like one. Raises `RecipeError` with the nearest names."""
    try:
        from_data(task.predict, options, where=f"options of {task.spec.name}")
    except UsageError as error:
        hint = "an input that looks like key=value goes behind --"
        raise UsageError(error.message, hint=f"{error.hint}\n{hint}" if error.hint else hint) from None


def _require_inputs(words: Sequence[str], arguments: Namespace) -> None:
    """There are inputs, which is known before anything is loaded. Raises `UsageError`."""
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError(f"--limit must be at least 1, found {arguments.limit}")
    if arguments.num is not None and arguments.num < 1:
        raise UsageError(f"--num must be at least 1, found {arguments.num}")
    if not words and arguments.file is None and arguments.num is None:
        hint = "give inputs as words, --file FILE, or - for lines of stdin"
        raise UsageError(f"nothing to ask {arguments.model}", hint=hint)


def _numbers(count: int | None, task: TaskSpec) -> list[str]:
    """The inputs that `--num` stands for. Raises `UsageError` for a task that is not asked by numbers."""
    if count is not None and not (task.takes_sample_indices or task.input == "number"):
        raise UsageError(f"--num is for generators, and {task.name} answers inputs", hint="leave it out")
    return list(map(str, range(count or 0)))


def _all_inputs(words: Sequence[str], file: str | None, stdin: TextIO, task: TaskSpec) -> Iterator[Any]:
    """The inputs in the order given: words, folders among them as their files, lines of stdin where a word is `-`, then
    lines of the file, or its rows where an input is one."""
    for word in words:
        if word == STDIN:
            yield from _lines(stdin)
            continue
        try:
            yield from expand([word], task.input_suffixes)
        except DataError as error:
            yield Unreadable(word, error)
    if file is not None:
        yield from (rows_of if task.input == "row" else lines_of)(expanded(file))


def _lines(stdin: TextIO) -> Iterator[str | Unreadable]:
    """Lines of stdin without their ends; one that isn't UTF-8 or is too long is an input that can't be read."""
    count = 0
    while line := stdin.buffer.readline(MAX_LINE + 1):
        count += 1
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while not line.endswith(b"\n") and (line := stdin.buffer.readline(MAX_LINE)):
                pass
            error = DataError(f"stdin:{count}: longer than {MAX_LINE:,} bytes", hint="cut it into lines")
            yield Unreadable(f"stdin:{count}", error)
            continue
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            error = DataError(f"stdin:{count}: not valid UTF-8", hint="convert it to UTF-8")
            yield Unreadable(f"stdin:{count}", error)


def _stream(loaded: Loaded, inputs: Iterable[Any], options: dict[str, Any], output: Output, tally: Tally) -> None:
    def streamed() -> Iterator[tuple[Any, Prediction]]:
        for place, item in enumerate(inputs):
            try:
                if isinstance(item, Unreadable):
                    raise item.error
                for piece in loaded.stream(item, **options):
                    output.piece(piece)
                answer: Prediction = {}
            except DataError as error:
                answer = failure(place, error)
            output.line()
            yield item, answer

    for _ in tally.count(streamed()):
        pass


def _show_each(answers: Iterable[tuple[Any, Prediction]], outputs: Sequence[str], output: Output) -> None:
    """Answers to inputs that were typed: bare words, a block for one input, a table of the plain fields for several."""
    known = [(item, _chosen(answer, outputs)) for item, answer in answers if not is_failure(answer)]
    plain = [(item, _plain(answer)) for item, answer in known]
    if all(list(map(type, answer.values())) == [str] for _, answer in known):
        for _, answer in known:
            output.line(*answer.values())
    elif len(known) > 1 and all(answer for _, answer in plain):
        output.table([*plain[0][1], "input"], [[*map(_cell, answer.values()), _cell(item)] for item, answer in plain])
    else:
        for item, answer in known:
            _show_block(item, answer, output)


def _show_block(item: Any, answer: Prediction, output: Output) -> None:
    """An answer with lists inside: a heading, plain fields, and a table for each list of alternatives."""
    plain = _plain(answer)
    output.pairs({"input": _cell(item), **{key: _cell(value) for key, value in plain.items()}})
    for key, value in answer.items():
        if key not in plain:
            _show_nested(key, value, output)


def _show_nested(key: str, value: Any, output: Output) -> None:
    """A mapping as a table of two columns, records as a table, several lists of records as several tables."""
    if isinstance(value, dict):
        rows = [[str(name), _cell(part)] for name, part in value.items()]
        output.table([key, "value"], rows[:_SHOWN])
        if len(rows) > _SHOWN:
            output.line(f"... and {len(rows) - _SHOWN:,} more; --json gives all")
    elif value and all(isinstance(row, dict) for row in value):
        output.line(f"{key}:")
        output.table(list(value[0]), [[_cell(part) for part in row.values()] for row in value])
    elif (
        value and all(isinstance(row, list) for row in value) and all(isinstance(row[0], dict) for row in value if row)
    ):
        for place, row in enumerate(value, start=1):
            _show_nested(f"{key} {place}", row, output)
    else:
        output.pairs({key: _cell(value)})


def _show_lines(answers: Iterable[tuple[Any, Prediction]], outputs: Sequence[str], output: Output) -> None:
    """Answers to lines: one line each, in order, fields two spaces apart, so that they can be pasted beside the input."""
    for _, answer in answers:
        if is_failure(answer):
            output.line(EMPTY)
            continue
        chosen = _chosen(answer, outputs)
        fields = [" ".join(_cell(value).split()) for value in (_plain(chosen) or chosen).values()]
        output.line("  ".join(fields))


def _chosen(answer: Prediction, outputs: Sequence[str]) -> Prediction:
    """The fields that the task wants shown, in its order; all where it doesn't say."""
    return {key: answer[key] for key in outputs if key in answer} or answer


def _plain(answer: Prediction) -> Prediction:
    """The fields that fit into a cell; the others are for a block of their own, or for `--json`."""
    return {key: value for key, value in answer.items() if value is None or isinstance(value, str | int | float)}


def _cell(value: Any) -> str:
    """A value in one cell: figures rounded, anything nested as JSON."""
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else escaped_json(json.dumps(value, ensure_ascii=False))

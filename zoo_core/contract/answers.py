"""Answers for many inputs, of which one that can't be answered costs no other its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from zoo_core.errors import DataError, PluginError

BATCH = 32
"""Inputs that are answered together."""

Prediction = dict[str, Any]
Predict = Callable[[Sequence[Any]], list[Prediction]]
"""A task's answers for some inputs."""

_OWN_PLACE = re.compile(r"(?:input|sample) 1\b")


class File(NamedTuple):
    """A file in a prediction: the command line keeps it in a folder and shows its path."""

    suffix: str
    """`.png`, for instance."""
    data: bytes
    """Its content."""


class Unreadable(NamedTuple):
    """An input that is bad before anybody looks at it, like a line that isn't UTF-8."""

    item: str
    """What to call it."""
    error: DataError


def answer_each(predict: Predict, items: Iterable[Any], *, batch: int = BATCH) -> Iterator[tuple[Any, Prediction]]:
    """Each input with its answer, in order and as soon as each batch is known.

    An input that can't be answered gets `error`, which names its place among all inputs from 1, and `hint` in place of an
    answer. Whatever `predict` raises that isn't a `DataError` is raised.
    """
    waiting, place = iter(items), 0
    while chunk := list(islice(waiting, batch)):
        sound = [(place + number, item) for number, item in enumerate(chunk) if not isinstance(item, Unreadable)]
        answers = dict(_answered(predict, sound)) if sound else {}
        for number, item in enumerate(chunk, start=place):
            if isinstance(item, Unreadable):
                yield item.item, failure(number, item.error)
            else:
                yield item, answers[number]
        place += len(chunk)


def is_failure(answer: Prediction) -> bool:
    """Whether `answer_each` gave this for an input that could not be answered."""
    return "error" in answer


def _answered(predict: Predict, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Prediction]]:
    """Answers by place. Where a batch is refused, its halves are asked, down to the inputs that are to blame."""
    try:
        answers = predict([item for _, item in items])
    except DataError as error:
        if len(items) == 1:
            yield items[0][0], failure(items[0][0], error)
            return
        for part in (items[: len(items) // 2], items[len(items) // 2 :]):
            yield from _answered(predict, part)
        return
    except SystemExit as left:
        raise PluginError(
            f"the task's predict called sys.exit({left.code!r})", hint="report it to its authors"
        ) from left
    if len(answers) != len(items):
        raise PluginError(f"the task's predict gave {len(answers)} answers for {len(items)} inputs")
    yield from zip((place for place, _ in items), answers, strict=True)


def failure(place: int, error: DataError) -> Prediction:
    """The error of one input with its place, from 0, among all of them; asked alone, a task calls it the first."""
    own = _OWN_PLACE.match(error.message)
    rest = error.message[own.end() :] if own else f": {error.message}"
    return {"error": f"input {place + 1}{rest}", "hint": error.hint}

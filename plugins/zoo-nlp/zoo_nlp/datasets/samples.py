"""What raw text samples look like, and how text is distinguished from what isn't text."""

from __future__ import annotations

from typing import Any, NamedTuple

from zoo_core import DataError


class Text(NamedTuple):
    """A text without a label."""

    text: str


class LabelledText(NamedTuple):
    """A text and the name of its class."""

    text: str
    label: str


class TextPair(NamedTuple):
    """A text and what it is to be turned into: its translation or its summary."""

    source: str
    target: str


def text_of(sample: Any, number: int) -> str:
    """The text that a model reads: of a plain string, a `Text`, a `LabelledText` or the source of a `TextPair`.

    `number` is the sample's position, from 0. Raises `DataError`, naming the sample, for anything else.
    """
    if isinstance(sample, Text | LabelledText):
        sample = sample.text
    elif isinstance(sample, TextPair):
        sample = sample.source
    if not isinstance(sample, str):
        raise DataError(f"sample {number + 1}: expected text, found {type(sample).__name__}")
    return sample


def texts_of(sample: Any, number: int) -> tuple[str, ...]:
    """Every text in a sample, as a tokenizer learns from it: both sides of a pair. Raises as `text_of` does."""
    if isinstance(sample, TextPair):
        return text_of(sample.source, number), text_of(sample.target, number)
    return (text_of(sample, number),)

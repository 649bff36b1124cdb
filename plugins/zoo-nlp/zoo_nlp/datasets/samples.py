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


def is_pair(sample: Any) -> bool:
    """Whether a sample is a text and what it is to be turned into."""
    return hasattr(sample, "source") and hasattr(sample, "target")


def text_of(sample: Any, number: int) -> str:
    """The text that a model reads: a plain string, or a sample's `text`, or the `source` of a pair.

    `number` is the sample's position, from 0. Raises `DataError`, naming the sample, for anything else.
    """
    found = sample if isinstance(sample, str) else getattr(sample, "text", getattr(sample, "source", None))
    if not isinstance(found, str):
        raise DataError(f"sample {number + 1}: expected text, found {type(sample).__name__}")
    return found


def texts_of(sample: Any, number: int) -> tuple[str, ...]:
    """Every text in a sample, as a tokenizer learns from it: both sides of a pair. Raises as `text_of` does."""
    if is_pair(sample):
        return text_of(sample.source, number), text_of(sample.target, number)
    return (text_of(sample, number),)

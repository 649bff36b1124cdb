"""Word and character error rates of transcripts, by jiwer, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core import DataError
from zoo_core.tasks import interval_of_ratio, known_intervals
from zoo_speech.evaluation.transcripts import normalised, without_needless_spaces, words_apart

Counts = NDArray[np.int64]


def word_errors(found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """`wer` and `cer`: edits of words and of characters, by those that were due, over all texts together; by jiwer.

    A character of a script that is written without spaces counts as a word, and spaces beside it count for nothing.
    References without a word count what was written for them as insertions. Raises `DataError` where nothing was due.
    """
    words, characters = _edits(found, expected)
    return {
        "wer": float(words[:, 0].sum() / words[:, 1].sum()),
        "cer": float(characters[:, 0].sum() / characters[:, 1].sum()),
    }


def plain(texts: Sequence[str]) -> list[str]:
    """Texts in small letters without punctuation."""
    return [normalised(text, lower=True, punctuation=False) for text in texts]


def plain_errors(found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """`word_errors` of plain texts."""
    return word_errors(plain(found), plain(expected))


def error_intervals(found: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals over texts of what `word_errors` finds, where they can be told."""
    if not any(expected):
        return {}
    edits = dict(zip(("wer", "cer"), _edits(found, expected), strict=True))
    return known_intervals({name: interval_of_ratio(counts[:, 0], counts[:, 1]) for name, counts in edits.items()})


def _edits(found: Sequence[str], expected: Sequence[str]) -> tuple[Counts, Counts]:
    """Edits and what was due (N, 2) of every text, in words and in characters. Raises `DataError` where nothing was due."""
    import jiwer

    found, expected = ([words_apart(text) for text in texts] for texts in (found, expected))
    if not any(expected):
        raise DataError("the transcripts to compare with are empty")
    pairs = [(text, other) for text, other in zip(expected, found, strict=True) if text]
    spare = [other for text, other in zip(expected, found, strict=True) if not text]
    joined = [[without_needless_spaces(text) for text in texts] for texts in zip(*pairs, strict=True)]
    words = _aligned(jiwer.process_words([text for text, _ in pairs], [other for _, other in pairs]))
    characters = _aligned(jiwer.process_characters(joined[0], joined[1]))
    words += [(len(other.split()), 0) for other in spare]
    characters += [(len(without_needless_spaces(other)), 0) for other in spare]
    return np.array(words), np.array(characters)


def _aligned(output: Any) -> list[tuple[int, int]]:
    """Edits and units of the reference of every text that jiwer aligned."""
    return [
        (sum(_size(part) for part in parts if part.type != "equal"), len(reference))
        for parts, reference in zip(output.alignments, output.references, strict=True)
    ]


def _size(part: Any) -> int:
    """Edits in a stretch of an alignment; one of its sides is empty where units were left out or put in."""
    return int(max(part.ref_end_idx - part.ref_start_idx, part.hyp_end_idx - part.hyp_start_idx))

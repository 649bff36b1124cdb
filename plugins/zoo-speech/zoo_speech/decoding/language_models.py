"""N-gram language models for CTC beam search: of characters, learned from text, or of words, by KenLM."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from zoo_core import DataError
from zoo_core.data import MAX_RATIO, check_file, read_lines
from zoo_speech.evaluation.transcripts import Characters

_ARPA = "\\data\\"
_COUNT = re.compile(r"ngram\s+(\d{1,2})\s*=\s*(\d{1,12})")
_LEAST = 4
"""Bytes of the shortest line of an n-gram: a number, a word, what parts them and the line's end."""
_MARKS = ("<unk>", "<s>", "</s>")


class CharacterModel:
    """How likely a character is after others, learned from text: interpolated Witten–Bell n-grams.

    Source: Witten and Bell, IEEE Transactions on Information Theory 1991, method C: what a context leaves to shorter ones
    is the share of its different continuations. The shortest leaves it to all symbols alike.
    """

    def __init__(self, texts: Iterable[str], characters: Characters, *, order: int) -> None:
        """`order` characters are looked at, the one to come included. Raises `DataError` where there is no text."""
        self.order = order
        self.characters = characters
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            # A space before and after: words begin and end where sentences do.
            padded = f" {text} "
            for place in range(1, len(padded)):
                for length in range(min(order - 1, place) + 1):
                    self._counts[padded[place - length : place]][padded[place]] += 1
        if not self._counts:
            raise DataError("the language model's file holds no text")
        self._known: dict[str, dict[str, float]] = {}

    def log_probability(self, context: str, character: str) -> float:
        """Natural logarithm of the probability of a character after `context`, of which the end is looked at."""
        return math.log(self._distribution(context[-(self.order - 1) :] if self.order > 1 else "")[character])

    def _distribution(self, context: str) -> dict[str, float]:
        if context not in self._known:
            shorter = self._distribution(context[1:]) if context else self._even()
            counts = self._counts.get(context, Counter())
            total, kinds = sum(counts.values()), len(counts)
            whole = total + kinds
            self._known[context] = (
                # (c(h, w) + T(h) p(w | h')) / (c(h) + T(h)), T being the different continuations, h' the shorter h.
                {symbol: (counts[symbol] + kinds * shorter[symbol]) / whole for symbol in shorter} if whole else shorter
            )
        return self._known[context]

    def _even(self) -> dict[str, float]:
        symbols = {*self.characters.symbols, " "}
        return dict.fromkeys(symbols, 1 / len(symbols))


class Words(NamedTuple):
    """What an ARPA file knows."""

    path: Path
    """The file, for KenLM."""
    by_spelling: dict[str, str]
    """Its words by how the model spells them, as far as it can; of several with one spelling the likeliest."""


def is_arpa(path: Path) -> bool:
    """Whether a file begins as n-grams in ARPA's format do. Raises `DataError` where it can't be read."""
    return next((line for line in read_lines(path) if line.strip()), "").strip() == _ARPA


def words_of(path: Path, characters: Characters, spell: Callable[[str], str]) -> Words:
    """The words of an ARPA file. Raises `DataError` for a damaged one, or where the model can spell none of them.

    Only what a decoder needs is looked at, and that the counts at its head can be true, since KenLM makes room by them.
    """
    lines = read_lines(path)
    counts = _counts(lines, path)
    holds = check_file(path) * (MAX_RATIO if path.name.endswith(".gz") else 1)
    if sum(counts.values()) * _LEAST > holds:
        raise DataError(f"{path}: its head counts {sum(counts.values()):,} n-grams, more than it can hold")
    found: dict[str, tuple[float, str]] = {}
    for number, word in _unigrams(lines, counts[1], path):
        spelling = spell(word)
        spelled = spelling and " " not in spelling and not characters.unknown(spelling)
        if word not in _MARKS and spelled and number > found.get(spelling, (-math.inf, ""))[0]:
            found[spelling] = number, word
    if not found:
        raise DataError(f"{path}: no word that the model has the symbols for", hint="give one of its language")
    return Words(path, {spelling: word for spelling, (_, word) in found.items()})


def _counts(lines: Iterator[str], path: Path) -> dict[int, int]:
    """How many n-grams of each order the head counts; leaves the lines behind the first section's title."""
    counts: dict[int, int] = {}
    for line in lines:
        text = line.strip()
        if match := _COUNT.fullmatch(text):
            counts[int(match[1])] = int(match[2])
        elif text.startswith("\\") and text != _ARPA:
            if text != "\\1-grams:" or not counts.get(1):
                break
            return counts
    raise DataError(f"{path}: no single words behind the counts at its head", hint="give an ARPA file")


def _unigrams(lines: Iterator[str], count: int, path: Path) -> Iterator[tuple[float, str]]:
    """Logarithm to base ten and word of each."""
    for place in range(1, count + 1):
        fields = next(lines, "").split()
        try:
            number, word = float(fields[0]), fields[1]
        except (ValueError, IndexError):
            raise DataError(f"{path}: word {place} of {count} is damaged or missing") from None
        yield number, word

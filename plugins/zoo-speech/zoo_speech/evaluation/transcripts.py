"""How transcripts are spelled: what is left out of them, the symbols that a CTC head tells apart, and text from symbols."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

BLANK = ""
"""Symbol 0 of a vocabulary: no symbol, which CTC needs between two that are alike."""

_APOSTROPHES = str.maketrans(dict.fromkeys("‘’‛ʼʻ`´＇", "'"))
# Two at the edges of words, up to 200 characters apart, are quotation marks: 'so', but not the dogs' and the cats' food.
_QUOTED = re.compile(r"(?<![^\W_])'(?=\S)(.{1,200}?)(?<=\S)'(?![^\W_])")
_GROUPS = re.compile(r"(?<=\d)[,\u066c](?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<=\d)[.,\u066b](?=\d)")
_POINT = "\ue000"  # stands for the point of a number while other points become spaces
_UNSPACED = (  # how the names of characters begin in Unicode
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO "),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TAI ", "NEW TAI "),
)


def normalised(text: str, *, lower: bool, punctuation: bool) -> str:
    """The text in Unicode's composed form with single spaces; small letters and no punctuation as one wants.

    Without punctuation there are letters with their marks, digits, apostrophes and spaces. Punctuation and symbols become
    spaces ("and/or" is two words, "10:15" too). All of `' ’ ‘ ‛ ʼ ʻ ´ \u0060` are one apostrophe, two around words are quotation
    marks. Numbers stay what they are: a comma before three digits groups them ("1,000" is "1000"), any other comma or point
    between digits is a decimal point ("3,5" is "3.5" and not "35"). What has no width of its own is left out.
    """
    text = unicodedata.normalize("NFC", text)
    if lower:
        text = text.lower()
    if not punctuation:
        text = _QUOTED.sub(r" \1 ", text.translate(_APOSTROPHES))
        text = _without_punctuation(_DECIMAL.sub(_POINT, _GROUPS.sub("", text))).replace(_POINT, ".")
    return " ".join(text.split())


def _without_punctuation(text: str) -> str:
    kept = [" "]
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] in "LN" or character in ("'", _POINT) or (kind[0] == "M" and kept[-1] != " "):
            kept.append(character)
        elif kind != "Cf" or character == "\u200b":  # a soft hyphen is nothing, a space without width is one
            kept.append(" ")
    return "".join(kept)


def words_apart(text: str) -> str:
    """The text with spaces around each character, and its marks, of a script that is written without spaces.

    In Chinese, Japanese, Thai, Lao, Khmer and Burmese a character counts as a word, as in Whisper's paper (appendix C).
    """
    parts: list[str] = []
    apart = False
    for character in text:
        mark = unicodedata.category(character)[0] == "M"
        if not mark:
            before, apart = apart, _is_unspaced(character)
            if before or apart:
                parts.append(" ")
        parts.append(character)
    return " ".join("".join(parts).split())


def without_needless_spaces(text: str) -> str:
    """The text without the spaces beside characters of scripts that are written without them."""
    words = text.split()
    joined = words[:1]
    for before, word in pairwise(words):
        joined += [word] if _ends_unspaced(before) or _is_unspaced(word[0]) else [" ", word]
    return "".join(joined)


def _ends_unspaced(word: str) -> bool:
    letters = (character for character in reversed(word) if unicodedata.category(character)[0] != "M")
    return _is_unspaced(next(letters, " "))


@lru_cache(maxsize=4096)
def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)


class Characters:
    """The symbols of a vocabulary, blank first; a text is a row of their numbers."""

    def __init__(self, symbols: Sequence[str]) -> None:
        """Raises `ValueError` unless symbols are single characters, each once."""
        if any(len(symbol) != 1 for symbol in symbols) or len(set(symbols)) != len(symbols):
            raise ValueError("symbols must be single characters, each once")
        self.symbols = tuple(symbols)
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Characters:
        """All characters of the texts, in the order of Unicode. Raises `ValueError` where there are none."""
        symbols = sorted({character for text in texts for character in text})
        if not symbols:
            raise ValueError("the transcripts hold no character")
        return cls(symbols)

    def __len__(self) -> int:
        return len(self.symbols) + 1

    def encode(self, text: str) -> list[int]:
        """Numbers of the text's characters; unknown ones are left out."""
        return [self._numbers[character] for character in text if character in self._numbers]

    def unknown(self, text: str) -> str:
        """The characters that `encode` leaves out, each once."""
        return "".join(sorted(set(text) - set(self.symbols)))

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; blanks are nothing."""
        return "".join(self.symbols[number - 1] for number in numbers if number > 0)

    def collapse(self, path: Iterable[int]) -> str:
        """The text of a CTC path: repetitions become one, then blanks go (Graves et al., ICML 2006, section 3.1)."""
        before, kept = 0, []
        for number in path:
            if number != before:
                kept.append(number)
            before = number
        return self.decode(kept)

"""How transcripts are spelled: what is left out of them, the symbols that a CTC head tells apart, and text from symbols."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

BLANK = ""
"""Symbol 0 of a vocabulary: no symbol, which CTC needs between two that are alike."""
_KEPT = "'’ "


def normalised(text: str, *, lower: bool, punctuation: bool) -> str:
    """The text in Unicode's composed form with single spaces; small letters and no punctuation as one wants.

    Without punctuation there are letters with their marks, digits, apostrophes and spaces; a hyphen becomes a space.
    """
    text = unicodedata.normalize("NFC", text)
    if lower:
        text = text.lower()
    if not punctuation:
        text = "".join(_plain(character) for character in text)
    return " ".join(text.split())


def _plain(character: str) -> str:
    if character == "’":
        return "'"
    kind = unicodedata.category(character)
    if character in _KEPT or kind[0] in "LM" or kind == "Nd":
        return character
    return " " if kind in ("Pd", "Zs", "Cc", "Pc") else ""


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

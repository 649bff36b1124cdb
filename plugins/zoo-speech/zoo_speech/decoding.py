"""From log-probabilities of symbols to text: the likeliest path, or a beam search with a language model of characters."""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_core.errors import DataError
from zoo_core.tables import read_lines
from zoo_speech.task_configs import CTCOptions
from zoo_speech.transcripts import Characters, normalised

Decode = Callable[[Tensor, Tensor], list[str]]
"""Texts of log-probabilities (B, T, C), of which each recording has lengths (B,)."""

_BLANK = "<blank>"


def decoder_of(characters: Characters, options: CTCOptions) -> Decode:
    """What the options ask for. Raises `DataError` for a language model's file that holds no text."""
    if options.beams == 1:
        return lambda log_probs, lengths: greedy(characters, log_probs, lengths)
    model = None
    if options.lm:
        lower = all(symbol == symbol.lower() for symbol in characters.symbols)
        lines = (normalised(line, lower=lower, punctuation=False) for line in read_lines(Path(options.lm).expanduser()))
        model = CharacterModel(filter(None, lines), characters, order=options.lm_order)
    return BeamSearch(characters, options, model)


def greedy(characters: Characters, log_probs: Tensor, lengths: Tensor) -> list[str]:
    """The text of each recording's likeliest path."""
    paths = log_probs.argmax(-1).tolist()
    return [characters.collapse(path[:length]) for path, length in zip(paths, lengths.tolist(), strict=True)]


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
                {symbol: (counts[symbol] + kinds * shorter[symbol]) / whole for symbol in shorter} if whole else shorter
            )
        return self._known[context]

    def _even(self) -> dict[str, float]:
        symbols = {*self.characters.symbols, " "}
        return dict.fromkeys(symbols, 1 / len(symbols))


class BeamSearch:
    """The likeliest texts, each with all its paths, by flashlight's decoder through torchaudio.

    Source: Kahn et al., Flashlight: Enabling Innovation in Tools for Machine Learning, ICML 2022.
    """

    def __init__(self, characters: Characters, options: CTCOptions, model: CharacterModel | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torchaudio.models.decoder import CTCDecoderLM, ctc_decoder
        self.characters = characters
        # A space is no token that flashlight reads from a list.
        tokens = [_BLANK, *("|" if symbol == " " else symbol for symbol in characters.symbols)]
        silence = "|" if " " in characters.symbols else _BLANK
        self._model = _language_model(CTCDecoderLM, model, characters) if model else None
        self._decoder = ctc_decoder(
            lexicon=None,
            tokens=tokens,
            lm=self._model,
            beam_size=options.beams,
            lm_weight=options.lm_weight if model else 0.0,
            blank_token=_BLANK,
            sil_token=silence,
            log_add=True,
        )

    def __call__(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """The best text of each recording."""
        found = self._decoder(log_probs.float().cpu().contiguous(), lengths.cpu())
        return [self._text(beams[0].tokens.tolist()) if beams else "" for beams in found]

    def _text(self, tokens: Sequence[int]) -> str:
        # The decoder frames its answer with silence.
        return " ".join(self.characters.decode(tokens).split())


def _language_model(base: Any, model: CharacterModel, characters: Characters) -> Any:
    """Our n-grams as flashlight asks for them: states are contexts."""

    class Characterwise(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            from torchaudio.models.decoder import CTCDecoderLMState

            self._new = CTCDecoderLMState
            self._contexts: dict[Any, str] = {}

        def start(self, start_with_nothing: bool) -> Any:
            state = self._new()
            self._contexts = {state: " "}
            return state

        def score(self, state: Any, token: int) -> tuple[Any, float]:
            following = state.child(token)
            context = self._contexts[state]
            character = characters.symbols[token - 1] if token else ""
            if following not in self._contexts:
                self._contexts[following] = (context + character)[-model.order :]
            return following, model.log_probability(context, character) if character else 0.0

        def finish(self, state: Any) -> tuple[Any, float]:
            return self.score(state, characters.symbols.index(" ") + 1 if " " in characters.symbols else 0)

    return Characterwise()

"""From log-probabilities of symbols to text: the likeliest path, or a beam search with a language model."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core import DataError, UsageError
from zoo_core.data import expanded, read_lines, silenced
from zoo_speech.configs.tasks import CTCOptions
from zoo_speech.decoding.language_models import CharacterModel, Words, is_arpa, words_of
from zoo_speech.evaluation.transcripts import Characters

Decode = Callable[[Tensor, Tensor], list[str]]
"""Texts of log-probabilities (B, T, C), of which each recording has lengths (B,)."""

_BLANK, _SPACE, _UNKNOWN = "<blank>", "<space>", "<unk>"
_NEVER = -1e4
"""Log-probability of what can't be."""


def decoder_of(characters: Characters, options: CTCOptions, spell: Callable[[str], str]) -> Decode:
    """What the options ask for; `spell` writes a language model's text as the model's transcripts are.

    Raises `DataError` for a language model's file that holds no text, or damaged n-grams.
    """
    if options.beams == 1:
        return lambda log_probs, lengths: greedy(characters, log_probs, lengths)
    if not options.lm:
        return BeamSearch(characters, options, None)
    path = expanded(options.lm)
    if is_arpa(path):
        return WordSearch(characters, options, words_of(path, characters, spell))
    return BeamSearch(
        characters,
        options,
        CharacterModel(filter(None, map(spell, read_lines(path))), characters, order=options.lm_order),
    )


def greedy(characters: Characters, log_probs: Tensor, lengths: Tensor) -> list[str]:
    """The text of each recording's likeliest path, with single spaces within it."""
    paths = log_probs.argmax(-1).tolist()
    found = (characters.collapse(path[:length]) for path, length in zip(paths, lengths.tolist(), strict=True))
    return [" ".join(text.split()) for text in found]


class BeamSearch:
    """The likeliest texts, each with all its paths, by flashlight's decoder through torchaudio.

    Source: Kahn et al., Flashlight: Enabling Innovation in Tools for Machine Learning, ICML 2022.
    """

    def __init__(self, characters: Characters, options: CTCOptions, model: CharacterModel | None) -> None:
        torchaudios = _torchaudios()
        self.characters = characters
        self._model = _language_model(torchaudios.CTCDecoderLM, model, characters) if model else None
        self._decoder = torchaudios.ctc_decoder(
            lexicon=None,
            tokens=_tokens(characters),
            lm=self._model,
            beam_size=options.beams,
            lm_weight=options.lm_weight if model else 0.0,
            blank_token=_BLANK,
            sil_token=_silence(characters),
            log_add=True,
        )

    def __call__(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """The best text of each recording."""
        found = self._decoder(log_probs.float().cpu().contiguous(), lengths.cpu())
        return [self._text(beams[0].tokens.tolist()) if beams else "" for beams in found]

    def _text(self, tokens: Sequence[int]) -> str:
        # The decoder frames its answer with silence.
        return " ".join(self.characters.decode(tokens).split())


class WordSearch:
    """The rows of words of an ARPA file with the likeliest single paths, by flashlight's decoder and KenLM.

    Paths aren't added up, as flashlight would add those of different texts that the language model can't tell apart.
    Source: Heafield, KenLM: Faster and Smaller Language Model Queries, WMT 2011.
    """

    def __init__(self, characters: Characters, options: CTCOptions, words: Words) -> None:
        """Raises `DataError` for what KenLM can't read."""
        torchaudios = _torchaudios()
        from flashlight.lib.text.decoder import CriterionType, LexiconDecoderOptions
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary, create_word_dict

        silence, tokens = _silence(characters), _tokens(characters)
        self._spellings = {word: spelling for spelling, word in words.by_spelling.items()}
        self._gap = tokens.index(silence) if silence != _BLANK else None
        behind = [] if self._gap is None else [silence]
        lexicon = {word: [[*spelling, *behind]] for word, spelling in self._spellings.items()}
        known = create_word_dict({_UNKNOWN: [], **lexicon})
        try:
            self._model = KenLM(str(words.path), known)
        except (RuntimeError, MemoryError) as error:
            reason = (str(error).splitlines() or [""])[-1]
            raise DataError(f"{words.path}: KenLM can't read it: {reason}", hint="give an ARPA file") from None
        self._decoder = torchaudios.CTCDecoder(
            nbest=1,
            lexicon=lexicon,
            word_dict=known,
            tokens_dict=Dictionary(tokens),
            lm=self._model,
            decoder_options=LexiconDecoderOptions(
                beam_size=options.beams,
                beam_size_token=len(tokens),
                beam_threshold=50,
                lm_weight=options.lm_weight * math.log(10),  # KenLM's logarithms are to base ten
                word_score=options.word_score,
                unk_score=-math.inf,
                sil_score=0,
                log_add=False,
                criterion_type=CriterionType.CTC,
            ),
            blank_token=_BLANK,
            sil_token=silence,
            unk_word=_UNKNOWN,
        )

    def __call__(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """The best text of each recording."""
        heard, lengths = log_probs.float().cpu(), lengths.cpu()
        if self._gap is not None:
            # Every word ends with a space, the last one in a frame of its own.
            heard = F.pad(heard, (0, 0, 0, 1))  # (B, T + 1, C)
            end = torch.full((heard.shape[2],), _NEVER)
            end[self._gap] = 0.0
            heard[torch.arange(len(heard)), lengths] = end
            lengths = lengths + 1
        found = self._decoder(heard.contiguous(), lengths)
        between = "" if self._gap is None else " "
        return [between.join(self._spellings[word] for word in beams[0].words) if beams else "" for beams in found]


def _torchaudios() -> Any:
    """Its decoders, without the word that they are to be moved. Raises `UsageError` where flashlight isn't installed."""
    if importlib.util.find_spec("flashlight") is None:
        raise UsageError(
            "beams need flashlight-text, which is not installed",
            hint="pip install flashlight-text (it has wheels for Python up to 3.12), or decode greedily with beams=1",
        )
    with silenced():
        from torchaudio.models import decoder
    return decoder


def _tokens(characters: Characters) -> list[str]:
    """The symbols as flashlight takes them: blank first, and the space under a name."""
    return [_BLANK, *(_SPACE if symbol == " " else symbol for symbol in characters.symbols)]


def _silence(characters: Characters) -> str:
    return _SPACE if " " in characters.symbols else _BLANK


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
            # A text that ends with a space has been told that its last word is over.
            over = self._contexts[state].endswith(" ") or " " not in characters.symbols
            return (state, 0.0) if over else self.score(state, characters.symbols.index(" ") + 1)

    return Characterwise()

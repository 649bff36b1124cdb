"""Recordings as models hear them, and transcripts as they spell them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from zoo_transformers import tokenizer_of

from zoo_core import CorruptFile, DataError, UsageError
from zoo_core.contract import Preprocessor, changed_settings, json_file, read_json, stored_settings, to_data
from zoo_speech.audio.audio import resampled
from zoo_speech.configs.models import SpeechReaderConfig, WhisperReaderConfig
from zoo_speech.datasets.samples import recording_of, sample_name
from zoo_speech.evaluation.transcripts import Characters, normalised

SETTINGS_FILE = "speech.json"
SYMBOLS_FILE = "symbols.json"
TOKENIZER_FILE = "tokenizer.json"
NO_TIMESTAMPS = "<|notimestamps|>"

Samples = NDArray[np.float32]
"""(N,) at the model's rate."""

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_SILENCE = 1e-7
"""Added to the variance of a recording before it is divided by its root, as Transformers does."""


class SpeechPreprocessor(Preprocessor):
    """What all speech models need of a recording: one rate and a longest length."""

    sampling_rate: int
    max_seconds: float

    def waveform(self, item: Any, number: int) -> Samples:
        """The whole recording at the model's rate. `number` is the input's position, from 0. Raises `DataError`."""
        return resampled(recording_of(item, number).waveform, self.sampling_rate).samples

    @property
    def most_samples(self) -> int:
        """Samples of the longest recording that is read in one piece."""
        return round(self.max_seconds * self.sampling_rate)

    @abstractmethod
    def normalize_transcript(self, text: str) -> str:
        """A transcript as the model's own are written, for training and for comparing."""


class SpeechReader(SpeechPreprocessor):
    """Waveforms of mean 0 and variance 1, and transcripts by characters."""

    def __init__(self, config: SpeechReaderConfig, characters: Characters | None) -> None:
        self.config = config
        self.sampling_rate = config.sampling_rate
        self.max_seconds = config.max_seconds
        self.characters = characters

    @classmethod
    def fit(cls, config: SpeechReaderConfig, samples: Iterable[Any]) -> Self:
        """Learn the symbols of the transcripts. Raises `DataError` where there are none."""
        reader = cls(config, None)
        if config.text == "none":
            return reader
        texts = []
        for number, sample in enumerate(samples):
            text = getattr(sample, "text", "")
            if not text:
                raise DataError(
                    f"{sample_name(sample, number)} has no transcript",
                    hint="set preprocessor.text=none for unlabelled audio",
                )
            texts.append(reader.normalize_transcript(text))
        try:
            reader.characters = Characters.of(texts)
        except ValueError as error:
            raise DataError(str(error)) from None
        return reader

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from `speech.json` and `symbols.json`. Raises `CorruptFile` where they can't be parsed."""
        config = stored_settings(SpeechReaderConfig, files, SETTINGS_FILE)
        if SYMBOLS_FILE not in files:
            return cls(config, None)
        symbols = read_json(files, SYMBOLS_FILE)
        try:
            return cls(config, Characters(symbols))
        except (ValueError, TypeError) as error:
            raise CorruptFile(f"{SYMBOLS_FILE}: {error}") from None

    def files(self) -> dict[str, bytes]:
        """The settings, and the symbols where there are some."""
        files = {SETTINGS_FILE: json_file(to_data(self.config))}
        return files if self.characters is None else {**files, SYMBOLS_FILE: json_file(list(self.characters.symbols))}

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """Another longest length; symbols for an encoder that was pretrained without transcripts.

        Raises `UsageError` for any other setting, which the model was trained with, `DataError` without transcripts.
        """
        learned = {"text", "case", "punctuation"} if self.characters is None else set()
        fixed = {name: value for name, value in settings.items() if name not in {"max_seconds", *learned}}
        if fixed:
            return super().adjusted(fixed, samples)
        config = changed_settings(self.config, settings)
        return type(self)(config, self.characters) if self.characters else self.fit(config, samples)

    def model_config(self) -> dict[str, Any]:
        """`vocab_size` where transcripts are spelled."""
        return {} if self.characters is None else {"vocab_size": len(self.characters)}

    def normalize_transcript(self, text: str) -> str:
        """In small letters and without punctuation as the settings say."""
        return normalised(text, lower=self.config.case == "lower", punctuation=self.config.punctuation == "keep")

    def standardised(self, samples: Samples) -> Samples:
        """Mean 0 and variance 1 over the recording."""
        centred = samples - samples.mean(dtype=np.float64).astype(np.float32)
        scaled: Samples = centred / np.sqrt(centred.var(dtype=np.float64) + _SILENCE).astype(np.float32)
        return scaled


class WhisperReader(SpeechPreprocessor):
    """The rate of Whisper and its byte-level tokenizer."""

    def __init__(self, config: WhisperReaderConfig, tokenizer: Tokenizer) -> None:
        """Raises `CorruptFile` for a tokenizer without the prompt's tokens."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # A transcript that spells out a special token is text like any other.
        tokenizer.encode_special_tokens = True
        missing = [word for word in config.prompt if tokenizer.token_to_id(word) is None]
        if missing:
            raise CorruptFile(f"{TOKENIZER_FILE}: no token {missing[0]!r}")
        self.config = config
        self.tokenizer = tokenizer
        self.sampling_rate = config.sampling_rate
        self.max_seconds = config.max_seconds

    @classmethod
    def fit(cls, config: WhisperReaderConfig, samples: Iterable[Any]) -> Self:
        """Raises `UsageError`: Whisper's tokenizer comes with its checkpoints."""
        raise UsageError(
            "a Whisper from fresh weights has no tokenizer to spell with",
            hint="start from a checkpoint: zoo import whisper_tiny_en.openai, then zoo finetune",
        )

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from `speech.json` and `tokenizer.json`. Raises `CorruptFile` where they can't be parsed."""
        config = stored_settings(WhisperReaderConfig, files, SETTINGS_FILE)
        if TOKENIZER_FILE not in files:
            raise CorruptFile(f"{TOKENIZER_FILE} is missing")
        return cls(config, tokenizer_of(files[TOKENIZER_FILE], TOKENIZER_FILE))

    def files(self) -> dict[str, bytes]:
        """The settings and the tokenizer in the format of the `tokenizers` library."""
        return {SETTINGS_FILE: json_file(to_data(self.config)), TOKENIZER_FILE: self.tokenizer.to_str().encode()}

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """Another prompt, as for another language. Raises `RecipeError` for settings that do not exist."""
        return type(self)(changed_settings(self.config, settings), self.tokenizer)

    @cached_property
    def prompt(self) -> list[int]:
        """Tokens that every transcript begins with."""
        found = [self.tokenizer.token_to_id(word) for word in self.config.prompt]
        return [number for number in found if number is not None]

    @cached_property
    def languages(self) -> dict[str, int]:
        """Tokens of the languages that a multilingual model tells apart, by code: `de`; empty for other models."""
        if not self.config.multilingual:
            return {}
        vocabulary = self.tokenizer.get_vocab()
        found = ((_LANGUAGE.fullmatch(word), number) for word, number in vocabulary.items())
        return {match[1]: number for match, number in sorted(found, key=lambda pair: pair[1]) if match}

    @cached_property
    def timestamps(self) -> int | None:
        """The token of 0.00 s, which follows the one for a transcript without times; None where there is no such one."""
        number = self.tokenizer.token_to_id(NO_TIMESTAMPS)
        return None if number is None else number + 1

    def forget_timestamps(self) -> None:
        """Note that the model is trained on texts without times, after which it writes none to be relied on."""
        self.config = replace(self.config, timestamps=False)

    @cached_property
    def silence(self) -> int | None:
        """The token that says that nobody speaks, under one of its two names."""
        found = (self.tokenizer.token_to_id(word) for word in ("<|nospeech|>", "<|nocaptions|>"))
        return next((number for number in found if number is not None), None)

    def prompt_in(self, language: str) -> list[int]:
        """The prompt with a language; a known one stands behind the first token, in place of any other."""
        if language not in self.languages:
            return self.prompt
        first, *others = self.prompt
        return [first, self.languages[language], *(one for one in others if one not in self.languages.values())]

    @property
    def names_language(self) -> bool:
        """Whether the prompt as it is says all that the model asks for."""
        return not self.config.multilingual or any(one in self.languages.values() for one in self.prompt)

    def normalize_transcript(self, text: str) -> str:
        """As it is, with single spaces."""
        return normalised(text, lower=False, punctuation=True)

    def encode(self, text: str) -> list[int]:
        """Tokens of a transcript, without prompt and end; a leading space, as Whisper writes."""
        return list(self.tokenizer.encode(" " + self.normalize_transcript(text), add_special_tokens=False).ids)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of tokens; special ones and timestamps are nothing."""
        # Some tokenizers know timestamps as words like any other, some don't know them at all.
        words = [number for number in numbers if self.timestamps is None or number < self.timestamps]
        return str(self.tokenizer.decode(words, skip_special_tokens=True)).strip()

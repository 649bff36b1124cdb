"""Which transcripts of a window aren't to be trusted, and what is tried instead: the thresholds of Whisper's paper.

Radford et al., 2022, section 4.5: a transcript that repeats itself or is too unlikely is drawn again with a higher temperature,
and a window is silence where the model says so and is unsure of what it wrote.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_speech.configs.tasks import Thresholds
from zoo_speech.decoding.whisper import DecodingResult, Rules, WhisperState, beam_search, greedy, sample

SILENT = 1e-4
"""Of full scale: a recording that never gets louder is digital silence, in which nobody speaks. 3 steps of 16 bits."""


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Whether a waveform (N,) is digital silence."""
    return not samples.size or float(max(samples.max(), -samples.min())) <= SILENT


def compression_ratio(text: str) -> float:
    """Bytes of the text by those that zlib makes of it: high where it repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


class Decoder:
    """Writes what was said in windows as the rules and thresholds allow."""

    def __init__(
        self, rules: Rules, limits: Thresholds, decode: Callable[[Sequence[int]], str], *, beams: int = 1
    ) -> None:
        """`decode` is the text of tokens; `beams` are followed at temperature 0."""
        self._rules, self._limits, self._decode, self._beams = rules, limits, decode, beams

    def __call__(
        self, heard: WhisperState, prompt: Tensor, most: int, silence: Sequence[float]
    ) -> list[DecodingResult | None]:
        """At most `most` tokens behind prompt (B, P) for each window; None where nobody speaks.

        `silence` are the model's probabilities of that. Draws are keyed by what is in the window.
        """
        found: dict[int, DecodingResult] = {}
        rows, keys = list(range(len(heard))), [0] * len(heard)
        for number, temperature in enumerate(self._limits.temperatures):
            if number == 1:
                keys = heard.checksums()
            part = heard.of(rows) if number else heard
            # The window's checksum has 32 bits; above them stands which temperature it is.
            draws = [torch.Generator().manual_seed(keys[row] + (number << 32)) for row in rows]
            for row, one in zip(rows, self._written(part, prompt[rows], most, temperature, draws), strict=True):
                found[row] = max(found.get(row, one), one, key=self._trust)  # of equals the earlier
            rows = [row for row in rows if not self._is_settled(found[row], silence[row])]
            if not rows:
                break
        return [None if self._is_silence(found[row], silence[row]) else found[row] for row in range(len(heard))]

    def _trust(self, one: DecodingResult) -> tuple[bool, float]:
        """What repeats itself less is better, then what is likelier."""
        ratio = compression_ratio(self._decode(one.tokens))
        fine = ratio <= self._limits.compression_ratio
        return fine, one.mean if fine else -ratio

    def _is_settled(self, one: DecodingResult, silence: float) -> bool:
        return self._is_silence(one, silence) or (self._trust(one)[0] and one.mean >= self._limits.log_probability)

    def _is_silence(self, one: DecodingResult, silence: float) -> bool:
        return silence > self._limits.no_speech and one.mean < self._limits.log_probability

    def _written(
        self, heard: WhisperState, prompt: Tensor, most: int, temperature: float, draws: Sequence[torch.Generator]
    ) -> list[DecodingResult]:
        if temperature:  # half as many: what is drawn because it repeats itself may go on for ever
            return sample(heard, prompt, self._rules, most // 2, temperature=temperature, draws=draws)
        if self._beams > 1:
            return beam_search(heard, prompt, self._rules, most, beams=self._beams)
        return greedy(heard, prompt, self._rules, most)

"""What recognition of speech by any model shares: transcripts that were found beside those that were due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from zoo_core.tasks import LossResult
from zoo_speech.evaluation.word_errors import error_intervals, word_errors
from zoo_speech.tasks.common import SpeechTask

_SHOWN = 20
"""Transcripts that an evaluation keeps to look at."""


@dataclass(frozen=True, kw_only=True)
class TranscriptResult(LossResult):
    """The loss, transcripts as they were found and as they were due, and recordings to show."""

    found: list[str]
    expected: list[str]
    examples: list[Any]


class Transcription(SpeechTask):
    """A task whose answer is what was said."""

    directions: Mapping[str, Literal["min", "max"]] = {"wer": "min", "cer": "min", "loss": "min"}

    def comparable(self, texts: Sequence[str]) -> list[str]:
        """Transcripts as errors are counted in them."""
        return list(texts)

    def summarize(self, result: TranscriptResult) -> dict[str, float]:
        """`wer` and `cer`, and the mean loss in nats."""
        errors = word_errors(self.comparable(result.found), self.comparable(result.expected))
        return {**errors, "loss": result.mean_loss}

    def intervals(self, result: TranscriptResult) -> Mapping[str, tuple[float, float]]:
        """Those of `wer` and `cer`, over transcripts."""
        return error_intervals(self.comparable(result.found), self.comparable(result.expected))

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Always writing the training transcript whose length is the middle one."""
        spell = self.preprocessor.normalize_transcript
        texts = sorted((spell(sample.text) for sample in train), key=lambda text: (len(text), text))
        always = [texts[len(texts) // 2]] * len(test)
        return {
            "always the same": word_errors(
                self.comparable(always), self.comparable([spell(sample.text) for sample in test])
            )
        }

    def artifacts(self, modules: Mapping[str, nn.Module], result: TranscriptResult) -> dict[str, bytes]:
        """`transcripts.txt`: what was due above what was found."""
        rows = list(zip(result.expected, result.found, strict=True))[:_SHOWN]
        text = "\n".join(f"expected: {due}\nfound:    {found}\n" for due, found in rows)
        return {"transcripts.txt": text.encode()}

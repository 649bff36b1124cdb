"""What tasks on recordings need of a model and of what reads for it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from zoo_speech.audio.channels import Samples


@runtime_checkable
class SpeechEncoder(Protocol):
    """forward(samples (B, N), lengths (B,)) -> logits (B, labels) for audio-classification, features (B, num_features) for others

    Waveforms of mean 0 and variance 1 with zeros behind the shorter ones, and how many samples each has. The features are the
    embedding of a recording, or of a voice; `Head.task` says which task it is.
    """

    num_features: int

    def forward(self, samples: Tensor, lengths: Tensor, /) -> Tensor:
        """float32 samples, int64 lengths."""


@runtime_checkable
class SpeechFrames(Protocol):
    """forward(samples (B, N), lengths (B,)) -> (logits (B, T, symbols), frames (B,)); hop, the samples of a frame

    Logits of a blank, which is symbol 0, and of characters, for each frame, and how many frames are of each recording. The
    configuration gets the number of symbols as `vocab_size`.
    """

    hop: int

    def forward(self, samples: Tensor, lengths: Tensor, /) -> tuple[Tensor, Tensor]:
        """float32 samples of mean 0 and variance 1, int64 lengths."""


@runtime_checkable
class WaveformPreprocessor(Protocol):
    """sampling_rate in Hz, most_samples, waveform(item, number) -> (N,)"""

    @property
    def sampling_rate(self) -> int:
        """Of the model."""

    @property
    def most_samples(self) -> int:
        """Of the longest recording that is heard in one piece."""

    def waveform(self, item: Any, number: int, /) -> Samples:
        """The whole recording at the model's rate; `number` is its place, from 0."""


@runtime_checkable
class StandardisedPreprocessor(WaveformPreprocessor, Protocol):
    """sampling_rate in Hz, most_samples, waveform(item, number) -> (N,), standardised(samples) -> (N,)"""

    def standardised(self, samples: Samples, /) -> Samples:
        """What the model is given of a waveform."""

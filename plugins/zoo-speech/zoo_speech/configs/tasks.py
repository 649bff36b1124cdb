"""What a recipe or a caller may set of speech tasks; free of torch."""

from __future__ import annotations

from dataclasses import field
from itertools import pairwise
from typing import Annotated, Literal

from zoo_core.contract import Alias, Config, Interval, MinLen, NonNegativeInt, PositiveFloat, PositiveInt, Share
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig

_Seconds = Annotated[float, Interval(ge=0.1, le=60)]
_Temperatures = Annotated[tuple[Annotated[float, Interval(ge=0, le=2)], ...], MinLen(1)]


class CTCConfig(Config):
    """How an encoder learns to write from transcripts."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    mask_probability: Share = 0.0
    """Probability that a frame starts a hidden span while training; 0.05 is wav2vec 2.0's for little data."""
    mask_length: PositiveInt = 10
    """Frames of a span."""


class CTCOptions(Config):
    """How paths become text."""

    beams: PositiveInt = 1
    """Texts that are followed at once; 1 takes the likeliest symbol of every frame."""
    lm: str = ""
    """File that tells the beam search of the language: n-grams of words in ARPA's format (or its .gz), of which then all that is
    written consists, or sentences, one a line, that a model of characters learns from; empty for none."""
    lm_order: Annotated[int, Interval(ge=1, le=8)] = 4
    """Characters that a model learned from sentences looks at, the one to come included."""
    lm_weight: float = 0.5
    """Weight of its natural logarithms beside those of the sounds."""
    word_score: float = 0.0
    """What every word of an ARPA file adds to a score; above 0 for more and shorter words."""
    timestamps: bool = False
    """Whether it is said when each word begins and ends."""
    format: Literal["", "srt", "vtt", "json"] = ""
    """A file of subtitles beside the text: lines of words, or each word in `json`."""
    plot: Annotated[bool, Alias("picture")] = False
    """Whether a plot shows the sound and each character below its time."""

    def check(self) -> None:
        """Only a beam search asks a language model."""
        self.require("lm", "empty for a single beam", not self.lm or self.beams > 1)


class Wav2Vec2PretrainingConfig(Config):
    """How an encoder learns from speech alone (Baevski et al., NeurIPS 2020, section 3 and 4.2)."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    crop_seconds: PositiveFloat = 15.0
    """Longest stretch of a recording in a batch, cut at a random place; shorter recordings are whole."""
    mask_probability: Annotated[float, Interval(gt=0, le=1)] = 0.065
    """Probability that a frame starts a hidden span."""
    mask_length: PositiveInt = 10
    """Frames of a span."""
    distractors: PositiveInt = 100
    """Hidden frames of the same recording that the true one has to be told from."""
    temperature: tuple[PositiveFloat, PositiveFloat, Annotated[float, Interval(gt=0, le=1)]] = (2.0, 0.5, 0.95)
    """Gumbel temperature in the first epoch, at last, and the factor of an epoch."""

    def check(self) -> None:
        """The temperature falls."""
        self.require(
            "temperature", "a last value that isn't above the first", self.temperature[0] >= self.temperature[1]
        )


class AudioClassificationConfig(Config):
    """How an encoder learns classes of recordings."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    crop_seconds: _Seconds = 5.0
    """Longest stretch that is heard at once: in training one at a random place, otherwise as many as cover a recording; of a
    model with a window that is shorter than these 5 seconds, as much as fits into it."""


class AudioClassificationOptions(Config):
    """How a classifier answers."""

    top_k: Annotated[NonNegativeInt, Alias("top")] = 0
    """Labels to name with their probabilities, likeliest first; 0 for all."""
    plot: Annotated[bool, Alias("picture")] = False
    """Whether a plot shows what was heard, below its label."""


class Thresholds(Config):
    """When a transcript of Whisper's is trusted (Radford et al., 2022, section 4.5), and what is tried where it isn't."""

    compression_ratio: PositiveFloat = 2.4
    """Most that zlib may make of a window's text, as a ratio of bytes: what is above repeats itself."""
    log_probability: Annotated[float, Interval(le=0)] = -1.0
    """Least mean log-probability of a window's tokens; what is below is too unlikely."""
    no_speech: Share = 0.6
    """Nobody speaks in a window where the model says so with a higher probability and what it wrote is too unlikely."""
    temperatures: _Temperatures = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried one after the other until a text is trusted, else the best of them is taken: 0 for the likeliest tokens, above
    that they are drawn, always the same ones for the same sound. `temperatures=0` tries once."""

    def check(self) -> None:
        """Each temperature is above the one before."""
        rising = all(first < second for first, second in pairwise(self.temperatures))
        self.require("temperatures", "rising numbers", rising)


class RecognitionConfig(Config):
    """How an encoder–decoder learns to write from transcripts."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)
    """What happens to the spectrograms of training."""
    longest: PositiveFloat | None = None
    """Training leaves out recordings of more seconds; null: one that is longer than the model hears at once is an error."""
    generate_samples: PositiveInt | None = None
    """Recordings, spread evenly over the split, whose transcripts an evaluation writes and compares; null for all."""
    decoding: Thresholds = field(default_factory=Thresholds)
    """How an evaluation writes: as predictions do."""


class RecognitionOptions(Thresholds):
    """How recordings become text."""

    beams: Annotated[int, Interval(ge=1, le=64)] = 1
    """Texts that are followed at once; 1 takes the likeliest token after the other."""
    timestamps: bool = False
    """Whether the model says when each segment begins and ends; it always does for recordings longer than it hears at
    once, if it can. One that was fine-tuned here can't: its segments are pieces, cut where it is quiet."""
    language: str = ""
    """What is spoken, as a code like `de`; empty to let a multilingual model tell by itself."""
    format: Literal["", "srt", "vtt", "json"] = ""
    """A file of subtitles beside the text; needs timestamps, which it asks for by itself."""
    plot: Annotated[bool, Alias("picture")] = False
    """Whether a plot shows which part of the sound the decoder attends to for each token, in the first window."""


class EmbeddingOptions(Config):
    """How recordings are embedded."""

    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""
    frames: bool = False
    """Whether the encoder's states (T, H), every 20 ms one of the usual models, are written to a .npy file as well."""
    truncate: bool = False
    """Cut a recording that is longer than the model hears, rather than refuse it."""


class SpeakerVerificationConfig(Config):
    """How an encoder learns to tell voices, and how it is tested."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms; leave their speed alone, which changes the voice."""
    crop_seconds: _Seconds = 3.0
    """Longest stretch of a recording in a training batch, cut at a random place; of a model with a window that is shorter
    than these 3 seconds, as much as fits into it."""
    heard_seconds: _Seconds = 10.0
    """Longest stretch that is heard otherwise: a recording's beginning; of a model with a window that is shorter than these
    10 seconds, as much as fits into it."""
    pairs: Literal["language", "all"] = "language"
    """Which recordings make a trial: two in one `language`, where the data tells it, so that telling languages apart
    helps nobody; or `all`."""
    trials: Annotated[int, Interval(ge=2)] = 500_000
    """Most trials of an evaluation; of more, so many are drawn, always the same ones."""


class SpeakerVerificationOptions(Config):
    """How voices are embedded and compared."""

    against: str = ""
    """A recording to compare with: the answer has the cosine of the two embeddings, `score`."""
    threshold: Annotated[float, Interval(ge=-1, le=1)] | None = None
    """Least score that counts as one voice: the answer then says whether it is the `same`. Null for no such answer: no
    score suits all recordings. A run's thresholds.txt has those that suited its test."""
    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""

    def check(self) -> None:
        """A threshold is of a comparison."""
        self.require("threshold", "null where `against` is empty", self.threshold is None or bool(self.against))

"""What a recipe or a caller may set of speech tasks; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Annotated, Literal

from zoo_core.contract import Formerly
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig
from zoo_speech.configs.models import require


@dataclass(frozen=True, kw_only=True)
class CTCConfig:
    """How an encoder learns to write from transcripts."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    mask_probability: float = 0.0
    """Probability that a frame starts a hidden span while training; 0.05 is wav2vec 2.0's for little data."""
    mask_length: int = 10
    """Frames of a span."""

    def __post_init__(self) -> None:
        """Refuse probabilities and lengths out of range."""
        require(self, "mask_probability", "a probability from 0 to 1", 0 <= self.mask_probability <= 1)
        require(self, "mask_length", "at least 1", self.mask_length >= 1)


@dataclass(frozen=True, kw_only=True)
class CTCOptions:
    """How paths become text."""

    beams: int = 1
    """Texts that are followed at once; 1 takes the likeliest symbol of every frame."""
    lm: str = ""
    """File that tells the beam search of the language: n-grams of words in ARPA's format (or its .gz), of which then all that is
    written consists, or sentences, one a line, that a model of characters learns from; empty for none."""
    lm_order: int = 4
    """Characters that a model learned from sentences looks at, the one to come included."""
    lm_weight: float = 0.5
    """Weight of its natural logarithms beside those of the sounds."""
    word_score: float = 0.0
    """What every word of an ARPA file adds to a score; above 0 for more and shorter words."""
    timestamps: bool = False
    """Whether it is said when each word begins and ends."""
    format: Literal["", "srt", "vtt", "json"] = ""
    """A file of subtitles beside the text: lines of words, or each word in `json`."""
    picture: bool = False
    """Whether a picture shows the sound and each character below its time."""

    def __post_init__(self) -> None:
        """Refuse counts below their least, and a language model without a beam."""
        require(self, "beams", "at least 1", self.beams >= 1)
        require(self, "lm_order", "from 1 to 8", 1 <= self.lm_order <= 8)
        require(self, "lm", "empty for a single beam", not self.lm or self.beams > 1)
        for name in ("lm_weight", "word_score"):
            require(self, name, "a finite number", isfinite(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2PretrainingConfig:
    """How an encoder learns from speech alone (Baevski et al., NeurIPS 2020, section 3 and 4.2)."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    crop_seconds: float = 15.0
    """Longest stretch of a recording in a batch, cut at a random place; shorter recordings are whole."""
    mask_probability: float = 0.065
    """Probability that a frame starts a hidden span."""
    mask_length: int = 10
    """Frames of a span."""
    distractors: int = 100
    """Hidden frames of the same recording that the true one has to be told from."""
    temperature: tuple[float, float, float] = (2.0, 0.5, 0.95)
    """Gumbel temperature in the first epoch, at last, and the factor of an epoch."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        require(self, "crop_seconds", "above 0", self.crop_seconds > 0)
        require(self, "mask_probability", "a probability above 0", 0 < self.mask_probability <= 1)
        require(self, "mask_length", "at least 1", self.mask_length >= 1)
        require(self, "distractors", "at least 1", self.distractors >= 1)
        first, last, factor = self.temperature
        require(self, "temperature", "falling from above 0", first >= last > 0 and 0 < factor <= 1)


@dataclass(frozen=True, kw_only=True)
class AudioClassificationConfig:
    """How an encoder learns classes of recordings."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    crop_seconds: float = 5.0
    """Longest stretch that is heard at once: in training one at a random place, otherwise as many as cover a recording; of a
    model with a window that is shorter than these 5 seconds, as much as fits into it."""

    def __post_init__(self) -> None:
        """Refuse lengths out of range."""
        require(self, "crop_seconds", "from 0.1 to 60", 0.1 <= self.crop_seconds <= 60)


@dataclass(frozen=True, kw_only=True)
class AudioClassificationOptions:
    """How a classifier answers."""

    top_k: Annotated[int, Formerly("top")] = 0
    """Labels to name with their probabilities, likeliest first; 0 for all."""
    picture: bool = False
    """Whether a picture shows what was heard, below its label."""

    def __post_init__(self) -> None:
        """Refuse a number below 0."""
        require(self, "top_k", "at least 0", self.top_k >= 0)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a transcript of Whisper's is trusted (Radford et al., 2022, section 4.5), and what is tried where it isn't."""

    compression_ratio: float = 2.4
    """Most that zlib may make of a window's text, as a ratio of bytes: what is above repeats itself."""
    log_probability: float = -1.0
    """Least mean log-probability of a window's tokens; what is below is too unlikely."""
    no_speech: float = 0.6
    """Nobody speaks in a window where the model says so with a higher probability and what it wrote is too unlikely."""
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried one after the other until a text is trusted, else the best of them is taken: 0 for the likeliest tokens, above
    that they are drawn, always the same ones for the same sound. `temperatures=0` tries once."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        require(self, "compression_ratio", "above 0", self.compression_ratio > 0)
        require(self, "log_probability", "a logarithm, at most 0", self.log_probability <= 0)
        require(self, "no_speech", "a probability from 0 to 1", 0 <= self.no_speech <= 1)
        rising = all(first < second for first, second in pairwise(self.temperatures))
        held = bool(self.temperatures) and self.temperatures[0] >= 0 and self.temperatures[-1] <= 2 and rising
        require(self, "temperatures", "at least one, rising, from 0 to 2", held)


@dataclass(frozen=True, kw_only=True)
class RecognitionConfig:
    """How an encoder–decoder learns to write from transcripts."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms."""
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)
    """What happens to the spectrograms of training."""
    longest: float | None = None
    """Training leaves out recordings of more seconds; null: one that is longer than the model hears at once is an error."""
    generate_samples: int | None = None
    """Recordings, spread evenly over the split, whose transcripts an evaluation writes and compares; null for all."""
    decoding: Thresholds = field(default_factory=Thresholds)
    """How an evaluation writes: as predictions do."""

    def __post_init__(self) -> None:
        """Refuse lengths that nothing has, and an evaluation without transcripts, which has no word error rate."""
        require(self, "longest", "above 0", self.longest is None or self.longest > 0)
        require(self, "generate_samples", "at least 1", self.generate_samples is None or self.generate_samples >= 1)


@dataclass(frozen=True, kw_only=True)
class RecognitionOptions(Thresholds):
    """How recordings become text."""

    beams: int = 1
    """Texts that are followed at once; 1 takes the likeliest token after the other."""
    timestamps: bool = False
    """Whether the model says when each segment begins and ends; it always does for recordings longer than it hears at
    once, if it can. One that was fine-tuned here can't: its segments are pieces, cut where it is quiet."""
    language: str = ""
    """What is spoken, as a code like `de`; empty to let a multilingual model tell by itself."""
    format: Literal["", "srt", "vtt", "json"] = ""
    """A file of subtitles beside the text; needs timestamps, which it asks for by itself."""
    picture: bool = False
    """Whether a picture shows which part of the sound the decoder attends to for each token, in the first window."""

    def __post_init__(self) -> None:
        """Refuse a search without a beam, and thresholds out of range."""
        super().__post_init__()
        require(self, "beams", "from 1 to 64", 1 <= self.beams <= 64)


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """How recordings are embedded."""

    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""
    frames: bool = False
    """Whether the encoder's states (T, H), every 20 ms one of the usual models, are written to a .npy file as well."""
    truncate: bool = False
    """Cut a recording that is longer than the model hears, rather than refuse it."""


@dataclass(frozen=True, kw_only=True)
class SpeakerVerificationConfig:
    """How an encoder learns to tell voices, and how it is tested."""

    augment: WaveAugmentConfig = field(default_factory=WaveAugmentConfig)
    """What happens to training waveforms; leave their speed alone, which changes the voice."""
    crop_seconds: float = 3.0
    """Longest stretch of a recording in a training batch, cut at a random place; of a model with a window that is shorter
    than these 3 seconds, as much as fits into it."""
    heard_seconds: float = 10.0
    """Longest stretch that is heard otherwise: a recording's beginning; of a model with a window that is shorter than these
    10 seconds, as much as fits into it."""
    pairs: Literal["language", "all"] = "language"
    """Which recordings make a trial: two in one `language`, where the data tells it, so that telling languages apart
    helps nobody; or `all`."""
    trials: int = 500_000
    """Most trials of an evaluation; of more, so many are drawn, always the same ones."""

    def __post_init__(self) -> None:
        """Refuse lengths and counts out of range."""
        for name in ("crop_seconds", "heard_seconds"):
            require(self, name, "from 0.1 to 60", 0.1 <= getattr(self, name) <= 60)
        require(self, "trials", "at least 2", self.trials >= 2)


@dataclass(frozen=True, kw_only=True)
class SpeakerVerificationOptions:
    """How voices are embedded and compared."""

    against: str = ""
    """A recording to compare with: the answer has the cosine of the two embeddings, `score`."""
    threshold: float | None = None
    """Least score that counts as one voice: the answer then says whether it is the `same`. Null for no such answer: no
    score suits all recordings. A run's thresholds.txt has those that suited its test."""
    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""

    def __post_init__(self) -> None:
        """Refuse a score that no cosine has, and one with nothing to compare."""
        if self.threshold is not None:
            require(self, "threshold", "a cosine from -1 to 1", -1 <= self.threshold <= 1)
            require(self, "threshold", "null where `against` is empty", bool(self.against))

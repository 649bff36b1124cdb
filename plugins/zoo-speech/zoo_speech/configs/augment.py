"""What a recipe may set of the random changes of training speech; free of torch. Everything is off unless set."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WaveAugmentConfig:
    """What happens to training waveforms at random, as a function of seed, epoch and index."""

    speeds: tuple[float, ...] = (1.0,)
    """Factors in [0.5, 2], one of which is drawn; `[0.9, 1.0, 1.1]` is the paper's (Ko et al., 2015)."""
    noise: float = 0.0
    """Probability of adding noise."""
    snr: tuple[float, float] = (10.0, 30.0)
    """Signal-to-noise ratio of that noise in dB, from and to."""
    gain: float = 0.0
    """Largest change of level in dB, up or down; 6 doubles or halves the amplitude at most."""

    def __post_init__(self) -> None:
        """Refuse factors, probabilities and levels out of range."""
        if not self.speeds or not all(0.5 <= factor <= 2.0 for factor in self.speeds):
            raise ValueError(f"speeds: one factor at least, each in [0.5, 2], found {self.speeds}")
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"noise: a probability from 0 to 1, found {self.noise}")
        if len(self.snr) != 2 or not -100.0 <= self.snr[0] <= self.snr[1] <= 100.0:
            raise ValueError(f"snr: two levels in dB, -100 <= from <= to <= 100, found {self.snr}")
        if not (math.isfinite(self.gain) and 0.0 <= self.gain <= 60.0):
            raise ValueError(f"gain: dB in [0, 60], found {self.gain}")


@dataclass(frozen=True, kw_only=True)
class SpecAugmentConfig:
    """A policy of SpecAugment (Park et al., Interspeech 2019, table 1), less time warping.

    LibriSpeech double is two masks of each kind, with widths 27 and 100 and a share of 1; Switchboard mild has widths 15
    and 70, Switchboard strong 27 and 70, both with a share of 0.2.
    """

    frequency_masks: int = 0
    """How many bands of frequencies are masked; the paper's m_F."""
    frequency_width: int = 27
    """Widest of them in mel bands; the paper's F."""
    time_masks: int = 0
    """How many stretches of time are masked; the paper's m_T."""
    time_width: int = 100
    """Longest of them in frames; the paper's T."""
    time_share: float = 0.2
    """Longest of them as a share of the utterance, so that short ones keep most of their frames; the paper's p."""

    def __post_init__(self) -> None:
        """Refuse negative numbers of masks, widths and shares out of range."""
        for name in ("frequency_masks", "frequency_width", "time_masks", "time_width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must be at least 0, found {getattr(self, name)}")
        if not 0.0 <= self.time_share <= 1.0:
            raise ValueError(f"time_share: must be in [0, 1], found {self.time_share}")

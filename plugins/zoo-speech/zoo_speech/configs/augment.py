"""What a recipe may set of the random changes of training speech; free of torch. Everything is off unless set."""

from __future__ import annotations

from typing import Annotated

from zoo_core.contract import Config, Interval, MinLen, NonNegativeInt, Share

_Level = Annotated[float, Interval(ge=-100, le=100)]


class WaveAugmentConfig(Config):
    """What happens to training waveforms at random, as a function of seed, epoch and index."""

    speeds: Annotated[tuple[Annotated[float, Interval(ge=0.5, le=2)], ...], MinLen(1)] = (1.0,)
    """Factors, one of which is drawn; `[0.9, 1.0, 1.1]` is the paper's (Ko et al., 2015)."""
    noise: Share = 0.0
    """Probability of adding noise."""
    snr: tuple[_Level, _Level] = (10.0, 30.0)
    """Signal-to-noise ratio of that noise in dB, from and to."""
    gain: Annotated[float, Interval(ge=0, le=60)] = 0.0
    """Largest change of level in dB, up or down; 6 doubles or halves the amplitude at most."""

    def check(self) -> None:
        """Levels are a range."""
        self.require("snr", "from the lower to the upper level", self.snr[0] <= self.snr[1])


class SpecAugmentConfig(Config):
    """A policy of SpecAugment (Park et al., Interspeech 2019, table 1), less time warping.

    LibriSpeech double is two masks of each kind, with widths 27 and 100 and a share of 1; Switchboard mild has widths 15
    and 70, Switchboard strong 27 and 70, both with a share of 0.2.
    """

    frequency_masks: NonNegativeInt = 0
    """How many bands of frequencies are masked; the paper's m_F."""
    frequency_width: NonNegativeInt = 27
    """Widest of them in mel bands; the paper's F."""
    time_masks: NonNegativeInt = 0
    """How many stretches of time are masked; the paper's m_T."""
    time_width: NonNegativeInt = 100
    """Longest of them in frames; the paper's T."""
    time_share: Share = 0.2
    """Longest of them as a share of the utterance, so that short ones keep most of their frames; the paper's p."""

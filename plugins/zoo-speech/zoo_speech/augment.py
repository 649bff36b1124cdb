"""Random changes of training speech; all of them a function of one sample's own random stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from zoo_core import UsageError
from zoo_speech.audio.resampling import resample
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig

Samples = NDArray[np.float32]


class WaveAugmentation:
    """Speed, noise and gain, in this order, and what would leave [-1, 1] scaled back into it.

    The same generator state gives the same samples, in any process and whatever was drawn before. Noise is an excerpt of
    one of `noises`, repeated where it is too short, or white where there are none; they must have the samples' rate.
    """

    def __init__(self, config: WaveAugmentConfig, noises: Sequence[Samples] = (), *, most: int | None = None) -> None:
        """A speed that would make more than `most` samples of a recording isn't taken, which keeps its own."""
        self.config = config
        self.noises = noises
        self.most = most
        self._idle = all(factor == 1.0 for factor in config.speeds) and not config.noise and not config.gain

    def __call__(self, samples: Samples, generator: Generator) -> Samples:
        """An augmented waveform of samples (N,) in [-1, 1]; the samples themselves if everything is off."""
        if self._idle:
            return samples
        # Every draw is made whatever the others gave, so that switching one change off leaves the others as they were.
        factor = self.config.speeds[int(generator.integers(len(self.config.speeds)))]
        chance, ratio, level = generator.random(), generator.uniform(*self.config.snr), generator.uniform(-1.0, 1.0)
        fits = self.most is None or _stretched(len(samples), factor) <= self.most
        changed = change_speed(samples, factor) if fits else samples
        if chance < self.config.noise:
            changed = add_noise(changed, self._noise(len(changed), generator), ratio)
        return _within_scale(change_gain(changed, level * self.config.gain))

    def longest(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) samples that may come of so many, at the slowest speed."""
        longest: NDArray[np.int64] = _stretched(lengths, min(self.config.speeds))
        return longest

    def _noise(self, frames: int, generator: Generator) -> Samples:
        if not self.noises:
            return generator.standard_normal(frames, dtype=np.float32)
        noise = self.noises[int(generator.integers(len(self.noises)))]
        start = int(generator.integers(max(len(noise), 1)))
        return np.resize(np.roll(noise, -start), frames)  # resize repeats what is too short


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples (N,) played `factor` times as fast, about N / factor of them: tempo and pitch change together.

    Ko et al., Interspeech 2015, by resampling. Factors are taken to two decimals, because an odd ratio of rates would
    need filters of enormous size.
    """
    ratio = _ratio(factor)
    if ratio == 1 or len(samples) == 0:
        return samples
    if ratio <= 0:
        raise UsageError(f"change_speed: factor {factor}", hint="a factor above 0; 1.1 is a tenth faster")
    return resample(samples, ratio.numerator, ratio.denominator)


def add_noise(samples: Samples, noise: Samples, ratio: float) -> Samples:
    """Samples (N,) plus noise (N,), scaled so that their mean powers are `ratio` dB apart.

    Unchanged where either is silent: no ratio can be had then. Raises `UsageError` for noise of another length.
    """
    if noise.shape != samples.shape:
        raise UsageError(f"add_noise: noise of shape {noise.shape} for samples of shape {samples.shape}")
    signal_power, noise_power = (float(np.square(part, dtype=np.float64).sum()) for part in (samples, noise))
    if signal_power == 0.0 or noise_power == 0.0:
        return samples
    scale = math.sqrt(signal_power / noise_power) * 10.0 ** (-ratio / 20.0)  # 10 log10(P / P_noise) = ratio
    return samples + np.float32(scale) * noise


def change_gain(samples: Samples, decibels: float) -> Samples:
    """Samples with their level changed by so many dB; nothing is clipped here."""
    return samples if decibels == 0.0 else samples * np.float32(10.0 ** (decibels / 20.0))


def spec_augment(features: Tensor, config: SpecAugmentConfig, generator: Generator) -> Tensor:
    """Features (T, M) of one utterance, unpadded, with bands of frequencies and stretches of time masked.

    Park et al., Interspeech 2019, section 2, less time warping: f is uniform in 0 to F and f_0 in 0 to M - f, where
    [f_0, f_0 + f) is masked, and the same for time, whose masks are at most a share p of the T frames long. Masks get the
    mean of the features, which is the paper's zero where features were normalised. Whisper's layout needs a transpose.
    A copy, or the features themselves without masks.
    """
    frames, bands = features.shape
    longest = min(config.time_width, int(config.time_share * frames))
    masked = torch.zeros(frames, bands, dtype=torch.bool)  # (T, M)
    for _ in range(config.frequency_masks):
        masked[:, _stretch(bands, config.frequency_width, generator)] = True
    for _ in range(config.time_masks):
        masked[_stretch(frames, longest, generator)] = True
    if not masked.any():
        return features
    return features.where(~masked.to(features.device), features.mean())


def _stretched(lengths: Any, factor: float) -> Any:
    """Samples of recordings of so many, played `factor` times as fast."""
    ratio = _ratio(factor)
    return -(-lengths * ratio.denominator // ratio.numerator)  # ceil(N / factor)


def _ratio(factor: float) -> Fraction:
    return Fraction(round(100 * factor), 100)


def _stretch(size: int, widest: int, generator: Generator) -> slice:
    width = int(generator.integers(min(widest, size), endpoint=True))
    start = int(generator.integers(size - width, endpoint=True))
    return slice(start, start + width)


def _within_scale(samples: Samples) -> Samples:
    """Scaled down where the peak is above 1, which keeps the ratio of signal and noise, unlike clipping."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak <= 1.0 else samples / np.float32(peak)

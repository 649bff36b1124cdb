"""Channels as they come out of files and arrays: finite, and mixed into the one that models hear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_speech.audio.containers import REPAIR, Refused

Samples = NDArray[np.float32]
"""(N,): one channel."""

LOUDEST = 1e3
"""Full scale is 1; samples beyond this are integers that nobody scaled, or damage."""

CANCELLED = 0.05
"""Channels cancel each other out where their mean has less than this share of their own mean energy: two of them do that
are each other's opposite, but for a tenth. Independent ones keep half of it, of 8 channels an eighth."""


class Mixer:
    """Turns blocks of channels into one channel, and knows whether the mean of all of them was one to be heard."""

    def __init__(self, channel: int | None = None) -> None:
        """`channel` is the one to take; None for the mean of all."""
        self._channel = channel
        self._mixed = 0.0
        self._energies: NDArray[np.float64] = np.zeros(0)

    def __call__(self, block: Samples) -> Samples:
        """(n,) of a block (n, C)."""
        if block.shape[1] == 1:
            return block[:, 0]
        if self._channel is not None:
            return block[:, min(self._channel, block.shape[1] - 1)]
        mixed = _mean(block)
        energies = np.array([_energy(block[:, channel]) for channel in range(block.shape[1])])
        size = max(len(energies), len(self._energies))
        self._energies = np.pad(self._energies, (0, size - len(self._energies)))
        self._energies += np.pad(energies, (0, size - len(energies)))
        self._mixed += _energy(mixed)
        return mixed

    @property
    def cancelled(self) -> int | None:
        """The loudest channel, where the channels cancelled each other out and it should be taken alone."""
        if len(self._energies) and self._mixed < CANCELLED * float(self._energies.mean()):  # False for NaN and silence
            return int(self._energies.argmax())
        return None


def mixed(block: Samples) -> Samples:
    """(n,) of all of a recording (n, C): the mean of its channels, or the loudest where they cancel each other out."""
    mixer = Mixer()
    samples = mixer(block)
    loudest = mixer.cancelled
    return samples if loudest is None else block[:, loudest]


def finite(block: NDArray[np.float32], before: int, rate: int) -> NDArray[np.float32]:
    """The block (n, C), `before` samples of each channel being behind it. Raises `Refused` for what no recording holds."""
    if not block.size or max(block.max(), -block.min()) <= LOUDEST:  # False for NaN
        return block
    row, channel = divmod(int(np.argmax(~(np.abs(block) <= LOUDEST))), block.shape[1])
    value, place = float(block[row, channel]), f"at second {(before + row) / rate:.3f}"
    if np.isfinite(value):
        raise Refused(f"the sample {place}: expected -1 to 1, found {value:g}", "scale it, or convert it to 16-bit WAV")
    raise Refused(f"the sample {place} is {value}", REPAIR)


def _mean(block: Samples) -> Samples:
    """Of (n, C) over its channels, one after the other: NumPy's over a narrow axis takes many times as long."""
    total: Samples = block[:, 0].copy()
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    total /= np.float32(block.shape[1])
    return total


def _energy(samples: Any) -> float:
    return float(np.dot(samples, samples))

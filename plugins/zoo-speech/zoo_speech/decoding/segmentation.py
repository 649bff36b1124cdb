"""Where recordings that are longer than a model hears at once are cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""(N,)."""


def split_at_silence(samples: Samples, most: int) -> list[Samples]:
    """Samples (N,) in pieces of at most `most`, each but the last cut where it is quiet; undivided if they fit."""
    found = []
    while len(samples) > most:
        end = max(1, quietest_frame(samples[:most]))
        found.append(samples[:end])
        samples = samples[end:]
    return [*found, samples]


def quietest_frame(samples: Samples) -> int:
    """Where to end a piece of samples (N,): the middle of the quietest fifth of a second in its last third."""
    start, width = 2 * len(samples) // 3, max(1, min(3_200, len(samples) // 8))
    energy = np.concatenate([[0.0], np.square(samples[start:], dtype=np.float64).cumsum()])  # running sums from 0
    loudness = energy[width:] - energy[:-width]  # of each window of `width`
    # The last of the places that are equally quiet.
    return start + len(loudness) - 1 - int(loudness[::-1].argmin()) + width // 2

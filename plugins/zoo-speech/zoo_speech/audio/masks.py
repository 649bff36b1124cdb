"""Which frames are hidden from a model: spans that start anywhere, drawn from a sample's own random stream."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


def spans(frames: int, generator: Generator, *, probability: float, length: int, least: int = 1) -> NDArray[np.bool_]:
    """(frames,), true where hidden: each frame starts a span of `length` with `probability`; spans may overlap.

    Source: Baevski et al., wav2vec 2.0, NeurIPS 2020, section 3.1, whose numbers are 0.065 and 10. As many spans as are
    expected, rounded at random, begin at places drawn without replacement; at least `least`, and none where the
    recording is no longer than a span.
    """
    if frames <= length or probability <= 0:
        return np.zeros(frames, dtype=np.bool_)
    count = max(least, int(probability * frames + generator.random()))  # rounds up as often as the fraction says
    starts = generator.choice(frames - length + 1, size=min(count, frames - length + 1), replace=False)
    hidden = np.zeros(frames, dtype=np.bool_)
    hidden[(starts[:, None] + np.arange(length)).ravel()] = True  # (spans, length)
    return hidden

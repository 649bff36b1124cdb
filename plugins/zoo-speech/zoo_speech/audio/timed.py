"""What is known of a recording along its time: words that were said, texts along frames, and all of it to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_speech.audio.channels import Samples

Heat = NDArray[np.floating[Any]]


class Segment(NamedTuple):
    """A stretch of a recording and what is said in it."""

    start: float
    """Seconds from the recording's beginning."""
    end: float
    """Seconds; not before `start`."""
    text: str


class Placed(NamedTuple):
    """A symbol, or a word, and when it was said."""

    symbol: str
    start: float
    """Seconds from the recording's beginning."""
    end: float
    """Seconds."""


class Alignment(NamedTuple):
    """A text along a recording's frames."""

    symbols: list[Placed]
    """The text's characters in their order."""
    path: NDArray[np.int64]
    """(T,) number of the symbol at each frame, 0 for none."""
    probabilities: NDArray[np.float32]
    """(T,) that the encoder gave these."""
    edges: NDArray[np.floating[Any]]
    """(T + 1,) seconds where frames begin, and where the last one ends."""


class Track(NamedTuple):
    """A text below its sound."""

    name: str
    symbols: Sequence[Placed]


@dataclass(frozen=True, kw_only=True)
class View:
    """A recording as it is shown."""

    samples: Samples
    """(N,) at any scale."""
    rate: int
    """Hz."""
    title: str = ""
    """Words above it."""
    spectrogram: Heat | None = None
    """(M, T) log-mel at 100 frames a second as a model is given it; None for that of the samples."""
    hidden: Sequence[tuple[float, float]] = ()
    """Seconds from and to that are hidden from the model."""
    lanes: Sequence[Track] = ()
    """Texts along its time."""
    path: Alignment | None = None
    """Whose probabilities are shown below the first lane."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate

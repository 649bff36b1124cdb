"""Sinc interpolation from one rate to another in a third to an eighth of `torchaudio.functional.resample`'s time.

The filters are torchaudio's, applied as a few small products of matrices: a convolution over phases multiplies mostly by
zeros, and its library prepares itself anew for every length of recording, which takes longer than the sound. Measured on
one thread of an AMD EPYC over eight recordings of 0.6 to 25 s, from 44.1, 48 and 22.05 to 16 kHz and from 8 to 16 kHz.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_NOTHING = 1e-12
"""Smaller taps are what the window's rounded end leaves."""
_NARROWEST = 32
"""Outputs of a product; fewer aren't worth its call."""
_SMALL = 1 << 17
"""Multiplications of a product, so few that no library divides them among threads, whose number would change the rounding."""


class _Product(NamedTuple):
    """Outputs that are made of the same stretch of the input."""

    outputs: slice
    """Of a block."""
    start: int
    """First sample, from the block's own first."""
    taps: Samples
    """(K, outputs)."""


class _Bank(NamedTuple):
    """The filters of a ratio, by blocks that repeat."""

    step: int
    """Samples that a block goes on in the input."""
    made: int
    """Samples of its output."""
    before: int
    """Samples of silence before the input."""
    reach: int
    """Samples that a block looks at."""
    products: tuple[_Product, ...]


def resample(samples: Samples, source: int, target: int) -> Samples:
    """Samples (N,) at `target` / `source` times their rate, both as small as they get: (ceil(N target / source),).

    Windowed sinc filters with torchaudio's defaults: Hann window, 6 zero crossings, 1 % below the lower of both limits.
    The samples themselves where both are equal.
    """
    if source == target:
        return samples
    bank = _bank(source, target)
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    count = -(-len(samples) * target // source)  # ceil(N target / source)
    blocks = -(-count // bank.made)
    found = np.empty((blocks, bank.made), dtype=np.float32)
    for product in bank.products:
        rows = max(1, _SMALL // product.taps.size)
        for first in range(0, blocks, rows):
            shape = min(rows, blocks - first), len(product.taps)
            start, length = first * bank.step + product.start - bank.before, (shape[0] - 1) * bank.step + shape[1]
            heard = _stretch(samples, start, length)
            stretches = np.ndarray(shape, np.float32, heard, strides=(4 * bank.step, 4))  # they overlap, so a view
            np.matmul(stretches, product.taps, out=found[first : first + rows, product.outputs])
    return found.reshape(-1)[:count]


def _stretch(samples: Samples, start: int, length: int) -> Samples:
    """(length,) from `start` on, silence before the first sample and after the last; a view wherever it needs none."""
    if start >= 0 and start + length <= len(samples):
        return samples[start : start + length]
    found = np.zeros(length, dtype=np.float32)
    inside = samples[max(0, start) : max(0, start + length)]
    found[max(0, -start) : max(0, -start) + len(inside)] = inside
    return found


@lru_cache(maxsize=16)
def _bank(source: int, target: int) -> _Bank:
    phases, before = _filters(source, target)  # (target, K)
    taps = int((phases != 0).sum(1).max())  # of the longest phase
    # Blocks so long that a product's stretches don't overlap too much, and so many products that few taps are zero.
    periods = max(-(-4 * taps // source), -(-_NARROWEST // target))
    made = periods * target
    filters = np.zeros((made, (periods - 1) * source + phases.shape[1]), dtype=np.float32)
    for period in range(periods):
        start = period * source
        filters[period * target : (period + 1) * target, start : start + phases.shape[1]] = phases
    count = max(1, round(made / max(_NARROWEST, taps * target / source)))
    edges = [made * number // count for number in range(count + 1)]
    products = tuple(_product(filters, slice(*edges[number : number + 2])) for number in range(count))
    return _Bank(periods * source, made, before, filters.shape[1], products)


def _product(filters: Samples, outputs: slice) -> _Product:
    used = np.flatnonzero(filters[outputs].any(0))
    start, end = int(used[0]), int(used[-1]) + 1
    return _Product(outputs, start, np.ascontiguousarray(filters[outputs, start:end].T))


def _filters(source: int, target: int) -> tuple[Samples, int]:
    """torchaudio's filters (target, K), one for each phase, and how far they reach back."""
    import torch
    from torchaudio.transforms import Resample

    with torch.device("cpu"), torch.inference_mode(False):  # whatever the state at the first call
        made = Resample(source, target)
    phases: Samples = made.kernel[:, 0].numpy()  # (target, 1, K) to (target, K)
    return np.where(np.abs(phases) < _NOTHING, np.float32(0), phases), int(made.width)

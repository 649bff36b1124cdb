"""Sinc interpolation from one rate to another: torchaudio's filters as a few small products of matrices.

A convolution over phases multiplies mostly by zeros, and its library prepares itself anew for every length of recording,
which takes longer than the sound.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
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
    """
    bank = _bank(source, target)
    count = -(-len(samples) * target // source)
    blocks = -(-count // bank.made)
    padded = np.zeros(max(bank.before + len(samples), (blocks - 1) * bank.step + bank.reach), dtype=np.float32)
    padded[bank.before : bank.before + len(samples)] = samples
    found = np.empty((blocks, bank.made), dtype=np.float32)
    for product in bank.products:
        shape, strides = (blocks, len(product.taps)), (4 * bank.step, 4)
        stretches = as_strided(padded[product.start :], shape, strides, writeable=False)
        rows = max(1, _SMALL // product.taps.size)
        for start in range(0, blocks, rows):
            part = slice(start, start + rows)
            np.matmul(stretches[part], product.taps, out=found[part, product.outputs])
    return found.reshape(-1)[:count]


@lru_cache(maxsize=16)
def _bank(source: int, target: int) -> _Bank:
    phases, before = _filters(source, target)  # (target, K)
    taps = int((phases != 0).sum(1).max())
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
    phases: Samples = made.kernel[:, 0].numpy()
    return np.where(np.abs(phases) < _NOTHING, np.float32(0), phases), int(made.width)

"""Resampling equals torchaudio's convolution at every ratio and length, and knows nothing of torch's state."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
import torchaudio
from zoo_speech.audio import resampling
from zoo_speech.audio.audio import Waveform, resampled
from zoo_speech.audio.resampling import resample
from zoo_speech.augment import change_speed

NOISE = (0.3 * np.random.default_rng(0).standard_normal(30_000)).astype(np.float32)
RATIOS = ((441, 160), (441, 320), (3, 1), (1, 2), (1, 3), (80, 441), (9, 10), (11, 10), (8, 1), (384, 1), (1, 384))


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_the_same_samples_as_torchaudios(source: int, target: int) -> None:
    filters = torchaudio.transforms.Resample(source, target)
    for length in (0, 1, 7, 160, 441, 2_345, 30_000 // max(1, target // 20)):
        expected = filters(torch.from_numpy(NOISE[:length].copy())).numpy() if length else NOISE[:0]
        found = resample(NOISE[:length], source, target)
        assert found.shape == expected.shape == (math.ceil(length * target / source),) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_odd_ratios_are_the_same_too() -> None:
    for source, target in ((999, 1_000), (97, 100)):
        expected = torchaudio.transforms.Resample(source, target)(torch.from_numpy(NOISE)).numpy()
        np.testing.assert_allclose(resample(NOISE, source, target), expected, rtol=0, atol=1e-6)


def test_speed_is_torchaudios() -> None:
    expected = torchaudio.functional.resample(torch.from_numpy(NOISE), 9, 10).numpy()
    np.testing.assert_allclose(change_speed(NOISE, 0.9), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [15_992, 15_999, 16_001, 16_008])
def test_rates_nearer_than_any_ratio_keep_their_samples(rate: int) -> None:
    found = resampled(Waveform(NOISE, rate), 16_000)
    assert found.rate == 16_000 and np.array_equal(found.samples, NOISE)
    assert resample(NOISE, 1, 1) is NOISE


def test_nothing_of_the_inputs_size_is_copied() -> None:
    samples = np.zeros(4_000_000, np.float32)
    resample(samples[:1000], 3, 1)  # the filters and what makes them
    tracemalloc.start()
    found = resample(samples, 3, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.nbytes < peak < 1.5 * found.nbytes


def test_neither_modes_nor_views_change_a_sample() -> None:
    expected = resample(NOISE, 441, 160)
    resampling._bank.cache_clear()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode(), torch.device("meta"):
        assert np.array_equal(resample(NOISE, 441, 160), expected)
    still = NOISE.copy()
    still.flags.writeable = False
    for view in (still, np.repeat(NOISE, 2)[::2]):
        assert np.array_equal(resampled(Waveform(view, 44_100), 16_000).samples, expected)


def test_a_constant_stays_one() -> None:
    """Away from the ends; the filters of each phase sum to 1 as far as torchaudio's do."""
    found = resample(np.ones(44_100, np.float32), 441, 160)
    assert np.abs(found[100:-100] - 1).max() < 2e-3

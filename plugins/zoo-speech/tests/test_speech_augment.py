"""Random changes of speech: by hand, by key, in bounds, and nothing at all when off."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from zoo_speech.augment import WaveAugmentation, add_noise, change_gain, change_speed, spec_augment
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig

from zoo_core import RecipeError, UsageError
from zoo_core.contract import SampleKey, from_data

EVERYTHING = WaveAugmentConfig(speeds=(0.9, 1.0, 1.1), noise=0.5, gain=6.0)
DOUBLE = SpecAugmentConfig(frequency_masks=2, time_masks=2, time_share=1.0)


def key(index: int = 0) -> np.random.Generator:
    return SampleKey(5, 1, index).generator()


def tone(frequency: float = 400.0, samples: int = 8000) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(samples) / 16_000)).astype(np.float32)


def loudest_frequency(samples: NDArray[np.float32]) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples))


def power(samples: NDArray[np.float32]) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


# ------------------------------------------------------------------------------------------------------ one by one


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.5, 2.0])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    changed = change_speed(tone(400.0), factor)
    assert changed.dtype == np.float32 and abs(len(changed) - 8000 / factor) < 1
    assert loudest_frequency(changed) == pytest.approx(400.0 * factor, abs=2 * 16_000 / len(changed))
    middle = changed[len(changed) // 4 : -len(changed) // 4]
    assert power(middle) == pytest.approx(0.125, rel=0.02)


def test_speed_one_is_the_same_array() -> None:
    samples = tone()
    assert change_speed(samples, 1.0) is samples and change_speed(samples, 1.004) is samples
    assert len(change_speed(samples[:0], 0.9)) == 0
    with pytest.raises(UsageError, match="factor 0"):
        change_speed(samples, 0.0)


def test_speeds_that_would_make_too_much_are_not_taken() -> None:
    slow = WaveAugmentation(WaveAugmentConfig(speeds=(0.5,)), most=9_999)
    assert len(slow(tone(samples=4_999), key())) == 9_998
    assert slow(tone(samples=5_000), key()).tolist() == tone(samples=5_000).tolist()


def test_samples_that_may_not_be_written_are_not() -> None:
    samples = tone()
    samples.flags.writeable = False
    before = samples.copy()
    for index in range(10):
        WaveAugmentation(EVERYTHING)(samples, key(index))
    assert np.array_equal(samples, before)


@pytest.mark.parametrize("ratio", [-5.0, 0.0, 20.0])
def test_noise_by_its_ratio(ratio: float) -> None:
    samples, noise = tone(), np.random.default_rng(1).standard_normal(8000, dtype=np.float32)
    added = add_noise(samples, noise, ratio) - samples
    assert added.dtype == np.float32
    assert 10 * np.log10(power(samples) / power(added)) == pytest.approx(ratio, abs=1e-3)
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1.0, abs=1e-5)


def test_noise_by_hand() -> None:
    # Powers 1 and 4; 20 dB asks for a hundredth of the power: 0.01 = s^2 4, s = 0.05.
    samples, noise = np.array([1, -1], dtype=np.float32), np.array([2, 2], dtype=np.float32)
    assert add_noise(samples, noise, 20.0).tolist() == pytest.approx([1.1, -0.9])


def test_silence_has_no_ratio() -> None:
    silence = np.zeros(8000, dtype=np.float32)
    assert add_noise(silence, tone(), 10.0) is silence
    samples = tone()
    assert add_noise(samples, silence, 10.0) is samples
    with pytest.raises(UsageError, match="noise of shape"):
        add_noise(samples, samples[:5], 10.0)


def test_gain_by_hand() -> None:
    samples = np.array([0.1, -0.2], dtype=np.float32)
    assert change_gain(samples, 20.0).tolist() == pytest.approx([1.0, -2.0])
    assert change_gain(samples, 20.0).dtype == np.float32
    assert change_gain(samples, 0.0) is samples


# ------------------------------------------------------------------------------------------------------- waveforms


def test_off_is_the_same_array_and_draws_nothing() -> None:
    samples, generator = tone(), key()
    assert WaveAugmentation(WaveAugmentConfig())(samples, generator) is samples
    assert generator.random() == key().random()


def test_the_same_key_gives_the_same_samples_and_another_key_others() -> None:
    augment, samples = WaveAugmentation(EVERYTHING), tone()
    first = [augment(samples, key(index)) for index in range(12)]
    for index in reversed(range(12)):
        assert np.array_equal(augment(samples, key(index)), first[index])
    assert len({one.tobytes() for one in first}) == 12
    assert {len(one) for one in first} == {7273, 8000, 8889}
    assert all(one.dtype == np.float32 and np.abs(one).max() <= 1.0 for one in first)


def test_global_random_states_are_untouched() -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()

    before = states()
    for index in range(6):
        WaveAugmentation(EVERYTHING, [tone(50.0, 700)])(tone(), key(index))
        spec_augment(torch.ones(90, 40), DOUBLE, key(index))
    assert states() == before


def test_gain_stays_in_its_range_and_on_the_scale() -> None:
    augment = WaveAugmentation(WaveAugmentConfig(gain=6.0))
    levels = [10 * np.log10(power(augment(0.1 * tone(), key(index))) / power(0.1 * tone())) for index in range(200)]
    assert -6.0 <= min(levels) < -5.5 and 5.5 < max(levels) <= 6.001
    peaks = [np.abs(augment(2 * tone(), key(index))).max() for index in range(50)]
    assert max(peaks) == pytest.approx(1.0) and max(peaks) <= 1.0 and min(peaks) < 0.6


def test_noise_is_as_frequent_and_as_loud_as_set() -> None:
    samples = 0.1 * tone(samples=2000)
    augment = WaveAugmentation(WaveAugmentConfig(noise=0.3, snr=(5.0, 15.0)))
    added = [augment(samples, key(index)) - samples for index in range(400)]
    noisy = [power(samples) / power(noise) for noise in added if noise.any()]
    # Binomial: 120 with a standard deviation of 9.
    assert 85 < len(noisy) < 155
    ratios = 10 * np.log10(noisy)
    assert 4.99 < ratios.min() < 6 and 14 < ratios.max() < 15.01


@pytest.mark.parametrize("length", [100, 8000, 20_000])
def test_given_noise_is_used_from_anywhere_and_repeated(length: int) -> None:
    samples, noise = 0.1 * tone(), np.arange(1, length + 1, dtype=np.float32)
    augment = WaveAugmentation(WaveAugmentConfig(noise=1.0, snr=(0.0, 0.0)), [noise])
    begins = set()
    for index in range(5):
        added = (augment(samples, key(index)) - samples).astype(np.float64)
        steps = np.diff(added)
        step = np.median(steps)
        assert step > 0 and np.sum(np.abs(steps - step) > step) == pytest.approx(8000 / length, abs=1)
        begins.add(round(added[0] / step))
    assert len(begins) > 3


def test_no_sound_at_all() -> None:
    assert len(WaveAugmentation(EVERYTHING, [tone()])(tone(samples=0), key())) == 0
    assert not WaveAugmentation(WaveAugmentConfig(gain=6.0, noise=1.0))(np.zeros(50, dtype=np.float32), key()).any()


# ------------------------------------------------------------------------------------------------------ SpecAugment


def features(frames: int = 300, bands: int = 80) -> Tensor:
    return torch.randn(frames, bands, generator=torch.Generator().manual_seed(1)) + 3.0


def masked_parts(frames: int, config: SpecAugmentConfig, index: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which frames and which bands are masked as a whole."""
    given = features(frames)
    found = spec_augment(given, config, key(index))
    changed = (found != given).numpy()
    across, along = np.asarray(changed.all(1)), np.asarray(changed.all(0))
    assert np.array_equal(changed, across[:, None] | along[None])
    assert (found[torch.from_numpy(changed)] == given.mean()).all()
    return across, along


def test_masks_are_stretches_of_the_mean_within_their_widths() -> None:
    config = SpecAugmentConfig(frequency_masks=1, frequency_width=27, time_masks=1, time_width=100, time_share=1.0)
    times, bands = zip(*(masked_parts(300, config, index) for index in range(300)), strict=True)
    for parts, widest in ((times, 100), (bands, 27)):
        widths = [int(part.sum()) for part in parts]
        assert all(np.abs(np.diff(part.astype(int))).sum() <= 2 for part in parts)  # one stretch
        assert min(widths) <= 1 and widest - 2 <= max(widths) <= widest
        assert np.mean(widths) == pytest.approx(widest / 2, rel=0.15)
        everywhere = np.mean(parts, axis=0)
        assert everywhere[0] > 0 or everywhere[1] > 0
        assert everywhere[len(everywhere) // 2] == pytest.approx(np.median(everywhere), rel=0.5)


def test_short_utterances_keep_most_of_their_frames() -> None:
    config = SpecAugmentConfig(time_masks=1, time_width=100, time_share=0.2)
    widths = [int(masked_parts(40, config, index)[0].sum()) for index in range(100)]
    assert max(widths) == 8


def test_several_masks_overlap_or_add_up() -> None:
    config = SpecAugmentConfig(frequency_masks=3, frequency_width=5)
    stretches = [masked_parts(30, config, index)[1] for index in range(60)]
    assert max(int(part.sum()) for part in stretches) > 10
    assert max(np.abs(np.diff(part.astype(int))).sum() for part in stretches) >= 5


def test_spec_augment_is_off_by_default_and_repeats_by_key() -> None:
    given = features()
    assert spec_augment(given, SpecAugmentConfig(), key()) is given
    assert spec_augment(given, SpecAugmentConfig(frequency_masks=2, frequency_width=0), key()) is given
    before = given.clone()
    first = [spec_augment(given, DOUBLE, key(index)) for index in range(8)]
    assert torch.equal(given, before)
    assert all(torch.equal(spec_augment(given, DOUBLE, key(index)), first[index]) for index in reversed(range(8)))
    assert len({one.numpy().tobytes() for one in first}) == 8


@pytest.mark.parametrize("shape", [(0, 80), (1, 80), (5, 3)])
def test_masks_fit_small_features(shape: tuple[int, int]) -> None:
    for index in range(20):
        assert spec_augment(torch.ones(shape), DOUBLE, key(index)).eq(1).all()


# --------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (WaveAugmentConfig, {"speeds": ()}, "speeds: expected at least 1 item"),
        (WaveAugmentConfig, {"speeds": (1.0, 0.4)}, r"speeds\[1\]: expected from 0.5 to 2, found 0.4"),
        (WaveAugmentConfig, {"noise": 1.1}, "noise: expected from 0 to 1"),
        (WaveAugmentConfig, {"snr": (20.0, 10.0)}, "snr: expected from the lower to the upper level"),
        (WaveAugmentConfig, {"snr": (20.0,)}, "snr: expected a list of 2 items"),
        (WaveAugmentConfig, {"gain": -1.0}, "gain: expected from 0 to 60"),
        (WaveAugmentConfig, {"gain": float("nan")}, "gain: expected from 0 to 60"),
        (SpecAugmentConfig, {"time_masks": -1}, "time_masks: expected at least 0"),
        (SpecAugmentConfig, {"time_share": 1.5}, "time_share: expected from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_meant(config: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**settings)


def test_settings_of_a_recipe() -> None:
    found = from_data(WaveAugmentConfig, {"speeds": [0.9, 1.0, 1.1], "snr": [5, 20]}, where="recipe.yaml")
    assert found.speeds == (0.9, 1.0, 1.1) and found.snr == (5.0, 20.0)
    with pytest.raises(RecipeError, match=r"recipe.yaml.*time_share"):
        from_data(SpecAugmentConfig, {"time_share": 2.0}, where="recipe.yaml")

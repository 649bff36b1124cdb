"""Features against Whisper's own, Kaldi's by another road, and rows of a batch against what they are alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.compliance import kaldi
from transformers import Speech2TextFeatureExtractor, WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from zoo_speech.audio import features
from zoo_speech.audio.features import (
    STATISTICS,
    Features,
    fbank,
    kaldi_fbank,
    log_mel,
    mfcc_statistics,
    pad_or_trim,
    standardized,
)

from zoo_core import DataError, UsageError


def speech(samples: int, seed: int = 1) -> NDArray[np.float32]:
    """Something with pitch, loudness that comes and goes, and noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    voice = sum(np.sin(2 * np.pi * 120 * part * time * (1 + 0.05 * np.sin(3 * time))) / part for part in range(1, 20))
    wave = 0.1 * voice * np.sin(2 * np.pi * 1.7 * time) ** 2 + 0.003 * generator.standard_normal(samples)
    return wave.astype(np.float32)


def batch(*lengths: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of speech; what lies beyond their lengths is not a number, and spoils whatever reads it."""
    rows = np.full((len(lengths), width), np.nan, dtype=np.float32)
    for row, length in enumerate(lengths):
        rows[row, :length] = speech(length, seed=row)
    return torch.from_numpy(rows), torch.tensor(lengths)


# ----------------------------------------------------------------------------------------------------------- Whisper


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("samples", [16_000, 16_159, 12_345, 201])
def test_log_mel_is_whispers(mels: int, samples: int) -> None:
    wave = speech(samples)
    extractor: Any = WhisperFeatureExtractor
    theirs = extractor(feature_size=mels)(
        wave, sampling_rate=16_000, padding="do_not_pad", truncation=False, return_tensors="pt"
    ).input_features
    ours = log_mel(torch.from_numpy(wave)[None], mels=mels)
    assert ours.values.shape == theirs.shape == (1, mels, samples // 160) and ours.lengths.tolist() == [samples // 160]
    torch.testing.assert_close(ours.values, theirs, rtol=0, atol=1e-4)


def test_thirty_seconds_are_whispers() -> None:
    waves = [speech(20_000), speech(500_000, seed=2)]
    extractor: Any = WhisperFeatureExtractor
    theirs = extractor()(waves, sampling_rate=16_000, return_tensors="pt").input_features
    padded = torch.full((2, 500_000), torch.nan)
    for row, wave in enumerate(waves):
        padded[row, : len(wave)] = torch.from_numpy(wave)
    ours = log_mel(pad_or_trim(padded, torch.tensor([20_000, 500_000])))
    assert ours.values.shape == theirs.shape == (2, 80, 3000)
    torch.testing.assert_close(ours.values, theirs, rtol=0, atol=1e-4)


def test_short_rows_are_mirrored_again_and_again() -> None:
    """As `numpy.pad` does, where Whisper would have padded with silence first."""
    wave = speech(170)
    mirrored = np.pad(wave, 200, mode="reflect")
    power = np.abs(np.fft.rfft(mirrored[:400] * np.hanning(401)[:-1])) ** 2
    bands = mel_filter_bank(201, 80, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    decades = np.log10(np.maximum(power @ bands, 1e-10))
    expected = (np.maximum(decades, decades.max() - 8) + 4) / 4
    found, lengths = log_mel(torch.from_numpy(wave)[None])
    assert lengths.tolist() == [1]
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=0, atol=1e-4)


def test_silence_is_the_floor() -> None:
    # log10 1e-10 = -10, and (-10 + 4) / 4 = -1.5; nothing is 8 decades below that.
    assert log_mel(torch.zeros(1, 1600)).values.eq(-1.5).all()


@pytest.mark.parametrize("length", [1, 100, 15_999, 16_000, 16_123, 47_990, 48_000])
def test_silence_that_is_left_out_is_what_it_would_have_been(length: int) -> None:
    """Three seconds, of which the last are silent: frame by frame as Whisper, and as with a sound that nobody hears."""
    padded = pad_or_trim(torch.from_numpy(speech(length))[None], size=48_000)
    extractor: Any = WhisperFeatureExtractor
    theirs = extractor(chunk_length=3)(padded[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    torch.testing.assert_close(log_mel(padded).values, theirs, rtol=0, atol=1e-4)
    if length < 48_000:
        # A last sample that isn't quite zero has all frames computed.
        marked = padded.clone()
        marked[0, -1] = 1e-20
        torch.testing.assert_close(log_mel(padded).values, log_mel(marked).values, rtol=0, atol=1e-6)
    both = log_mel(torch.cat([padded, padded.flip(1)])).values
    torch.testing.assert_close(both[:1], log_mel(padded).values, rtol=0, atol=0)


def test_no_rows_have_no_features() -> None:
    assert log_mel(torch.zeros(0, 480)).values.shape == (0, 80, 3)


# ---------------------------------------------------------------------------------------------------- rows of a batch

LENGTHS = (9000, 16_000, 1000, 170, 0)
"""None of them as long as the batch; the fourth is shorter than a window of either kind, the last empty."""


@pytest.mark.parametrize("function", [log_mel, kaldi_fbank, fbank])
def test_a_row_of_a_padded_batch_is_what_it_is_alone(function: object) -> None:
    assert callable(function)
    samples, lengths = batch(*LENGTHS, width=17_000)
    found: Features = function(samples, lengths)
    along = 2 if function is log_mel else 1
    for row, length in enumerate(LENGTHS):
        alone: Features = function(samples[row : row + 1, :length])
        frames = int(alone.lengths)
        assert found.lengths[row] == frames == alone.values.shape[along]
        kept, padding = found.values[row : row + 1].tensor_split([frames], along)
        torch.testing.assert_close(kept, alone.values, rtol=0, atol=1e-5)
        assert not padding.any()
    assert found.values.isfinite().all() and found.lengths.dtype == torch.int64


def test_a_loud_row_leaves_its_neighbour_alone() -> None:
    samples, _ = batch(8000, 8000, width=8000)
    louder = samples * torch.tensor([[1.0], [1000.0]])
    torch.testing.assert_close(log_mel(louder).values[0], log_mel(samples).values[0], rtol=0, atol=0)


def test_autocast_inference_mode_and_default_device_change_nothing() -> None:
    samples = torch.from_numpy(speech(4000))[None]
    features._whisper_bands.cache_clear()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        with torch.device("meta"):
            mel = log_mel(samples, mels=40).values
        values = mel, kaldi_fbank(samples).values
    assert torch.equal(values[0].clone(), log_mel(samples, mels=40).values)
    assert torch.equal(values[1].clone(), kaldi_fbank(samples).values)
    trained = samples.clone().requires_grad_()
    log_mel(trained, mels=40).values.sum().backward()  # type: ignore[no-untyped-call]
    assert trained.grad is not None and trained.grad.isfinite().all()


# ------------------------------------------------------------------------------------------------------------- Kaldi


@pytest.mark.parametrize(("rate", "samples"), [(16_000, 400), (16_000, 8123), (8000, 5000)])
def test_fbank_is_kaldis_by_another_road(rate: int, samples: int) -> None:
    wave = speech(samples)
    size = rate // 40
    points = 512 if rate == 16_000 else 256
    bands = mel_filter_bank(
        points // 2 + 1, 40, 20.0, rate / 2, rate, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    expected = spectrogram(
        wave * 2**15,
        window_function(size, "povey", periodic=False),
        frame_length=size,
        hop_length=rate // 100,
        fft_length=points,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=bands,
        log_mel="log",
        mel_floor=1.192092955078125e-07,
        remove_dc_offset=True,
    ).T
    found = kaldi_fbank(torch.from_numpy(wave)[None], rate=rate, mels=40)
    assert found.values.shape == (1, 1 + (samples - size) // (rate // 100), 40)
    np.testing.assert_allclose(found.values[0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("rate", "mels"), [(16_000, 80), (8000, 23), (22_050, 40)])
def test_fbank_is_torchaudios(rate: int, mels: int) -> None:
    wave = torch.from_numpy(speech(9001))[None]
    theirs = kaldi.fbank(2**15 * wave, num_mel_bins=mels, sample_frequency=rate, dither=0.0)
    torch.testing.assert_close(kaldi_fbank(wave, rate=rate, mels=mels).values[0], theirs, rtol=0, atol=1e-4)


def test_fbank_is_transformers() -> None:
    waves = [speech(9000, seed=0), speech(5000, seed=1)]
    extractor: Any = Speech2TextFeatureExtractor
    theirs = extractor()(waves, sampling_rate=16_000, padding=True, return_tensors="pt").input_features
    samples, lengths = batch(9000, 5000, width=9000)
    torch.testing.assert_close(fbank(samples, lengths).values, theirs, rtol=0, atol=1e-3)


def test_fbank_has_no_level() -> None:
    samples, lengths = batch(9000, 5000, width=9000)
    values, frames = fbank(samples, lengths)
    for row, count in zip(values, frames.tolist(), strict=True):
        torch.testing.assert_close(row[:count].mean(0), torch.zeros(80), rtol=0, atol=1e-5)
        torch.testing.assert_close(row[:count].std(0, correction=0), torch.ones(80), rtol=0, atol=1e-4)
    torch.testing.assert_close(fbank(0.1 * samples, lengths).values, values, rtol=0, atol=1e-3)


def test_standardized_by_hand() -> None:
    # 1 and 3 have mean 2 and standard deviation 1; 5 and 5 don't change, and neither does a single frame.
    assert standardized(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).tolist() == [[-1, 0], [1, 0]]
    assert standardized(torch.tensor([[4.0, 2.0]])).tolist() == [[0, 0]]
    assert standardized(torch.zeros(0, 2)).shape == (0, 2)


def test_silence_has_finite_features() -> None:
    assert not fbank(torch.zeros(1, 4000)).values.any()
    assert np.isfinite(mfcc_statistics(np.zeros(4000, dtype=np.float32), 16_000)).all()


# -------------------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("samples", [0, 1, 100, 5000])
def test_statistics_have_one_length(rate: int, samples: int) -> None:
    found = mfcc_statistics(speech(samples), rate)
    assert found.shape == (STATISTICS,) and found.dtype == np.float32 and np.isfinite(found).all()


def test_statistics_by_hand() -> None:
    """Of a sound that repeats every 10 ms, each frame is like the others: nothing changes but the means."""
    wave = np.tile(speech(160), 100)
    mean, deviation, slope, change = np.split(mfcc_statistics(wave, 16_000), 4)
    assert np.abs(mean).max() > 1
    assert max(np.abs(part).max() for part in (deviation, slope, change)) < 1e-3


def test_level_moves_the_first_coefficients_mean_alone() -> None:
    loud, soft = mfcc_statistics(speech(8000), 16_000), mfcc_statistics(0.1 * speech(8000), 16_000)
    # 20 dB is ln 100 in each of 23 bands, and the first coefficient is their sum over the root of 23.
    assert loud[0] - soft[0] == pytest.approx(math.log(100) * math.sqrt(23), rel=1e-3)
    np.testing.assert_allclose(loud[1:], soft[1:], rtol=0, atol=1e-2)


def test_statistics_tell_a_low_voice_from_a_high_one() -> None:
    time = np.arange(8000) / 16_000
    low, high = (np.sin(2 * np.pi * pitch * time).astype(np.float32) for pitch in (200, 3000))
    assert np.abs(mfcc_statistics(low, 16_000) - mfcc_statistics(high, 16_000)).max() > 10


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("function", [log_mel, pad_or_trim, kaldi_fbank, fbank])
def test_batches_that_are_none(function: object) -> None:
    assert callable(function)
    with pytest.raises(UsageError, match=r"samples of shape \(400,\)"):
        function(torch.zeros(400))
    for lengths in (torch.tensor([401]), torch.tensor([-1]), torch.tensor([400, 400]), torch.tensor(400)):
        with pytest.raises(UsageError, match=r"lengths .* for samples of shape \(1, 400\)"):
            function(torch.zeros(1, 400), lengths)


def test_rates_below_speech() -> None:
    with pytest.raises(DataError, match="sampled at 999 Hz"):
        mfcc_statistics(speech(4000), 999)
    with pytest.raises(DataError, match="sampled at 0 Hz"):
        kaldi_fbank(torch.zeros(1, 400), rate=0)

"""Spectral features of waveforms: Whisper's log-mel spectrogram, Kaldi's filterbanks, and statistics of MFCCs.

A batch is samples (B, N), float in [-1, 1], and the number of them in use in each row, (B,), all N where it isn't given.
What lies beyond a row's length is never read: every row gives what it gives alone, and zeros after that. Computed in
float32 whatever the autocast. Each raises `UsageError` for other shapes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchaudio.compliance import kaldi
from torchaudio.functional import compute_deltas, melscale_fbanks

from zoo_core.errors import DataError, UsageError

SAMPLE_RATE = 16_000
"""What Whisper listens at, in Hz."""
WHISPER_SAMPLES = 480_000
"""The 30 seconds that Whisper's encoder takes at once."""
STATISTICS = 52
"""Length of the vector of `mfcc_statistics`."""

_FFT = 400
_HOP = 160
_LOWEST_RATE = 1_000


class Features(NamedTuple):
    """Features of a batch, padded with zeros."""

    values: Tensor
    """(B, M, T) or (B, T, M), as the function says: M mel bands, T frames."""
    lengths: Tensor
    """(B,) frames in use."""


def log_mel(samples: Tensor, lengths: Tensor | None = None, *, mels: int = 80) -> Features:
    """Whisper's log-mel spectrogram, (B, M, T) as its encoder takes it, T = N // 160, of 16 kHz samples (B, N).

    Radford et al., 2022, section 2.2, and the authors' code: power of 400-sample Hann windows every 160 samples, the
    signal mirrored at both ends and the last window dropped; Slaney's mel bands up to 8 kHz; log10 of at least 1e-10,
    raised to at least the utterance's maximum less 8; (x + 4) / 4.

    A short row is mirrored at its own end, and its maximum is that of its own frames, so padding changes nothing.
    Whisper itself pads with silence to 30 seconds first, which is `log_mel(pad_or_trim(samples, lengths))`. mels: 80, or
    128 for large-v3. A row of less than 160 samples has no frames.
    """
    samples, lengths = _batch("log_mel", samples, lengths)
    frames = samples.shape[1] // _HOP
    if frames == 0:
        return Features(samples.new_zeros(len(samples), mels, 0), lengths // _HOP)
    with torch.autocast(samples.device.type, enabled=False):
        window = torch.hann_window(_FFT, device=samples.device)
        mirrored = _mirrored(samples, lengths, _FFT // 2)
        spectrum = torch.stft(mirrored, _FFT, _HOP, window=window, center=False, return_complex=True)  # (B, 201, T + 1)
        power = spectrum[..., :frames].abs().square()
        decades = (_mel_bands(mels).to(samples.device).T @ power).clamp_min(1e-10).log10()  # (B, M, T)
    used = _used(lengths // _HOP, frames)[:, None]  # (B, 1, T)
    loudest = decades.masked_fill(~used, -torch.inf).amax((1, 2), keepdim=True)
    return Features(((decades.maximum(loudest - 8.0) + 4.0) / 4.0).masked_fill(~used, 0.0), lengths // _HOP)


def pad_or_trim(samples: Tensor, lengths: Tensor | None = None, *, size: int = WHISPER_SAMPLES) -> Tensor:
    """The samples (B, N) with silence after each row's length, or less of them: (B, size)."""
    samples, lengths = _batch("pad_or_trim", samples, lengths)
    silenced = samples.masked_fill(~_used(lengths, samples.shape[1]), 0.0)
    return F.pad(silenced, (0, size - samples.shape[1]))


def fbank(samples: Tensor, lengths: Tensor | None = None, *, rate: int = SAMPLE_RATE, mels: int = 80) -> Features:
    """Kaldi's filterbanks, (B, T, M), each band with mean 0 and standard deviation 1 over its utterance.

    As `kaldi_fbank` otherwise, which keeps the level.
    """
    return standardized(kaldi_fbank(samples, lengths, rate=rate, mels=mels))


def kaldi_fbank(samples: Tensor, lengths: Tensor | None = None, *, rate: int = SAMPLE_RATE, mels: int = 80) -> Features:
    """Natural logarithms of Kaldi's mel filterbank energies, (B, T, M), of samples (B, N) at `rate` Hz.

    Kaldi's `compute-fbank-feats` without dither: 25 ms windows every 10 ms as far as whole ones fit, offset removed,
    pre-emphasis 0.97, Povey window, power spectrum, bands from 20 Hz to half the rate, samples on the scale of 16 bits.
    A row that is shorter than a window has no frames.
    """
    samples, lengths = _batch("kaldi_fbank", samples, lengths)
    window = _window(rate)
    rows = []
    with torch.autocast(samples.device.type, enabled=False):
        for row, length in zip(samples, lengths.tolist(), strict=True):
            found = samples.new_zeros(0, mels)
            if length >= window:
                found = kaldi.fbank(2**15 * row[None, :length], num_mel_bins=mels, sample_frequency=rate, dither=0.0)
            rows.append(found)  # (T, M)
    frames = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=lengths.device)
    return Features(pad_sequence(rows, batch_first=True), frames)


def standardized(features: Features) -> Features:
    """Features (B, T, M) with mean 0 and standard deviation 1 in each band, over the frames in use of each utterance.

    A band that doesn't change, as in digital silence or a single frame, is 0 throughout.
    """
    values, lengths = features
    used = _used(lengths, values.shape[1])[:, :, None]  # (B, T, 1)
    count = lengths.clamp_min(1)[:, None, None]
    # Around the first frame a band that doesn't change is exactly 0; around a rounded mean it would not be.
    moved = (values - values[:, :1]).masked_fill(~used, 0.0)
    centred = (moved - moved.sum(1, keepdim=True) / count).masked_fill(~used, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
    return Features(centred / deviation.clamp_min(1e-5), lengths)


def mfcc_statistics(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """What an utterance sounds like in 52 numbers, whatever its length: features for a linear baseline.

    Mean and standard deviation over time of 13 Kaldi MFCCs, then mean and standard deviation of their slopes (deltas over
    5 frames), 13 each. samples: (N,) in [-1, 1]; less than one window of 25 ms is filled up with silence. Bands reach
    to 8 kHz, or half the rate where that is less. Raises `DataError` for a rate below 1 kHz.
    """
    waveform = torch.from_numpy(np.array(samples, dtype=np.float32))
    waveform, _ = _batch("mfcc_statistics", waveform[None], None)
    waveform = F.pad(waveform, (0, max(0, _window(rate) - waveform.shape[1])))
    with torch.no_grad():
        coefficients = kaldi.mfcc(
            2**15 * waveform, sample_frequency=rate, high_freq=min(8_000.0, rate / 2), dither=0.0
        ).T  # (13, T)
        slopes = compute_deltas(coefficients[None])[0]
        parts = [part for track in (coefficients, slopes) for part in (track.mean(1), track.std(1, correction=0))]
        return torch.cat(parts).numpy()


@lru_cache(maxsize=8)
def _mel_bands(mels: int) -> Tensor:
    """(201, M) on the CPU, an ordinary tensor whatever the default device and inference mode at the first call."""
    with torch.device("cpu"), torch.inference_mode(False):
        bands: Tensor = melscale_fbanks(
            _FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, mels, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
        )
    return bands


def _mirrored(samples: Tensor, lengths: Tensor, size: int) -> Tensor:
    """(B, N + 2 size): each row mirrored at its two ends, again and again where it is shorter than `size`."""
    last = (lengths - 1).clamp_min(0)[:, None]
    period = (2 * last).clamp_min(1)
    places = torch.arange(-size, samples.shape[1] + size, device=samples.device).remainder(period)
    return samples.gather(1, places.minimum(period - places))


def _window(rate: int) -> int:
    if rate < _LOWEST_RATE:
        raise DataError(f"speech sampled at {rate} Hz", hint=f"features need {_LOWEST_RATE} Hz or more")
    return int(rate * 25 * 0.001)


def _used(lengths: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _batch(name: str, samples: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    if samples.ndim != 2:
        raise UsageError(f"{name}: samples of shape {tuple(samples.shape)}", hint="expected (B, N): mono, in a batch")
    if lengths is None:
        lengths = torch.full((len(samples),), samples.shape[1], device=samples.device)
    if lengths.shape != (len(samples),) or bool(((lengths < 0) | (lengths > samples.shape[1])).any()):
        raise UsageError(
            f"{name}: lengths {lengths.tolist()} for samples of shape {tuple(samples.shape)}",
            hint="expected (B,) numbers of samples in use",
        )
    return samples.float(), lengths.long()

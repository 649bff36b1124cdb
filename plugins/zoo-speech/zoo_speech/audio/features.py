"""Spectral features of waveforms, at 1.2 to 8 times the rate of Transformers' extractors (`scripts/bench features`).

Whisper's log-mel spectrogram, Kaldi's filterbanks, and statistics of MFCCs.

A batch is samples (B, N), float in [-1, 1], and the number of them in use in each row, (B,), all N where it isn't given.
What lies beyond a row's length is never read: every row gives what it gives alone, and zeros after that. Computed in
float32 whatever the autocast. Each raises `UsageError` for other shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
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

from zoo_core import DataError, UsageError

SAMPLE_RATE = 16_000
"""What Whisper listens at, in Hz."""
WHISPER_SAMPLES = 480_000
"""The 30 seconds that Whisper's encoder takes at once."""
STATISTICS = 52
"""Length of the vector of `mfcc_statistics`."""

_FFT = 400
_HOP = 160
_LOWEST_RATE = 1_000
_FLOOR = 1e-10
_SMALLEST = torch.finfo(torch.float32).eps
_GROUP = 16
"""Bands that are multiplied together."""
_TOGETHER = 500
"""Frames whose spectrum is in memory at once: what stays in a processor's cache takes half the time."""


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
    if frames == 0 or len(samples) == 0:
        return Features(samples.new_zeros(len(samples), mels, frames), lengths // _HOP)
    with torch.autocast(samples.device.type, enabled=False):
        mirrored, used = _mirrored(samples, lengths, _FFT // 2), _used(lengths // _HOP, frames)
        # One by one they stay in a processor's cache, and none computes another's silence.
        parts = len(samples) if samples.device.type == "cpu" else 1
        pairs = zip(mirrored.tensor_split(parts), used.tensor_split(parts), strict=True)
        # (B, M, T), row by row on the CPU
        values = torch.cat([_levels(_decades(rows, frames, mels), flags[:, None]) for rows, flags in pairs])
    return Features(values, lengths // _HOP)


def pad_or_trim(samples: Tensor, lengths: Tensor | None = None, *, size: int = WHISPER_SAMPLES) -> Tensor:
    """The samples (B, N) with silence after each row's length, or less of them: (B, size)."""
    samples, lengths = _batch("pad_or_trim", samples, lengths)
    padded = samples.new_zeros(len(samples), size)
    for row, given, length in zip(padded, samples, lengths.clamp_max(size).tolist(), strict=True):
        row[:length] = given[:length]
    return padded


def fbank(samples: Tensor, lengths: Tensor | None = None, *, rate: int = SAMPLE_RATE, mels: int = 80) -> Features:
    """Kaldi's filterbanks, (B, T, M), each band with mean 0 and standard deviation 1 over its utterance.

    As `kaldi_fbank` otherwise, which keeps the level.
    """
    return _padded([standardized(row) for row in _kaldi_rows("fbank", samples, lengths, rate, mels)])


def kaldi_fbank(samples: Tensor, lengths: Tensor | None = None, *, rate: int = SAMPLE_RATE, mels: int = 80) -> Features:
    """Natural logarithms of Kaldi's mel filterbank energies, (B, T, M), of samples (B, N) at `rate` Hz.

    Kaldi's `compute-fbank-feats` without dither: 25 ms windows every 10 ms as far as whole ones fit, offset removed,
    pre-emphasis 0.97, Povey window, power spectrum, bands from 20 Hz to half the rate, samples on the scale of 16 bits.
    A row that is shorter than a window has no frames.
    """
    return _padded(_kaldi_rows("kaldi_fbank", samples, lengths, rate, mels))


def standardized(values: Tensor) -> Tensor:
    """Features (T, M) of one utterance with mean 0 and standard deviation 1 in each band.

    A band that doesn't change, as in digital silence or a single frame, is 0 throughout.
    """
    # Around the first frame a band that doesn't change is exactly 0; around a rounded mean it would not be.
    moved = values - values[:1]
    centred = moved - moved.sum(0) / max(1, len(values))
    deviation = (centred.square().sum(0) / max(1, len(values))).sqrt()
    return centred / deviation.clamp_min(1e-5)


def _kaldi_rows(what: str, samples: Tensor, lengths: Tensor | None, rate: int, mels: int) -> list[Tensor]:
    """(T, M) of each row, computed one by one, which is as fast as together and pads nothing."""
    samples, lengths = _batch(what, samples, lengths)
    width, hop = _window(rate), int(rate * 10 * 0.001)  # 25 and 10 ms, cut to whole samples
    size = 1 << (width - 1).bit_length()  # the next power of two
    bands, rows = _kaldi_bands(mels, size, rate), []
    with torch.autocast(samples.device.type, enabled=False):
        povey = torch.hann_window(width, periodic=False, device=samples.device).pow(0.85)
        for row, length in zip(samples, lengths.tolist(), strict=True):
            found = samples.new_zeros(0, mels)
            if length >= width:
                windows = (2**15 * row[:length]).unfold(0, width, hop)  # (T, width)
                windows = windows - windows.mean(1, keepdim=True)
                emphasised = windows.clone()
                emphasised[:, 1:] -= 0.97 * windows[:, :-1]  # y_t = x_t - 0.97 x_(t-1)
                emphasised[:, :1] -= 0.97 * windows[:, :1]  # the sample before the first is taken to be the first
                spectrum = torch.fft.rfft(emphasised.mul_(povey), n=size)  # (T, size / 2 + 1)
                found = _energies(spectrum, bands).clamp_min(_SMALLEST).log()  # (T, M)
            rows.append(found)
    return rows


def _padded(rows: list[Tensor]) -> Features:
    frames = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=rows[0].device)
    return Features(pad_sequence(rows, batch_first=True), frames)


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
        slopes = compute_deltas(coefficients[None])[0]  # (13, T)
        parts = [part for track in (coefficients, slopes) for part in (track.mean(1), track.std(1, correction=0))]
        return torch.cat(parts).numpy()  # (52,)


class _Bands(NamedTuple):
    """Triangles that lie next to each other, and the bins that they reach."""

    first: int
    weights: Tensor
    """(bins, bands), on the CPU."""


@lru_cache(maxsize=8)
def _whisper_bands(mels: int) -> tuple[_Bands, ...]:
    with _plainly():
        return _in_groups(
            melscale_fbanks(_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, mels, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
        )


@lru_cache(maxsize=8)
def _kaldi_bands(mels: int, size: int, rate: int) -> tuple[_Bands, ...]:
    with _plainly():
        bands, _ = kaldi.get_mel_banks(mels, size, float(rate), 20.0, 0.0, 100.0, -500.0, 1.0)
        return _in_groups(F.pad(bands, (0, 1)).T)  # the last bin, half the rate, is in none


def _in_groups(bands: Tensor) -> tuple[_Bands, ...]:
    """(bins, M) without most of its zeros: a product of all takes several times as long."""
    groups = []
    for part in bands.tensor_split(list(range(_GROUP, bands.shape[1], _GROUP)), 1):
        used = part.any(1).nonzero()
        first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        groups.append(_Bands(first, part[first:end].contiguous()))
    return tuple(groups)


def _decades(mirrored: Tensor, frames: int, mels: int) -> Tensor:
    """Logarithms (B, M, T) of the power in Whisper's bands, of rows with their mirror images."""
    heard = min(frames, _sounding(mirrored) // _HOP + 1)  # windows that begin later are silent
    window = torch.hann_window(_FFT, device=mirrored.device)
    windows = mirrored.unfold(1, _FFT, _HOP)[:, :heard]  # (B, T, 400)
    # (B, heard, M)
    energies = torch.cat(
        [_energies(torch.fft.rfft(part * window), _whisper_bands(mels)) for part in torch.split(windows, _TOGETHER, 1)],
        1,
    )
    return F.pad(energies.clamp_min(_FLOOR).log10().mT, (0, frames - heard), value=math.log10(_FLOOR))


def _levels(decades: Tensor, used: Tensor) -> Tensor:
    """Whisper's inputs of logarithms (B, M, T), of which the frames (B, 1, T) are in use."""
    loudest = decades.masked_fill(~used, -torch.inf).amax((1, 2), keepdim=True)  # (B, 1, 1)
    return ((decades.maximum(loudest - 8.0) + 4.0) / 4.0).masked_fill(~used, 0.0)


def _energies(spectrum: Tensor, bands: tuple[_Bands, ...]) -> Tensor:
    """Power of the bands, (..., M), of a spectrum (..., bins)."""
    parts = torch.view_as_real(spectrum)
    power = parts[..., 0].square().add_(parts[..., 1].square())  # re² + im², without the root of abs()
    return torch.cat(
        [power[..., first : first + len(weights)] @ weights.to(power.device) for first, weights in bands], -1
    )


@contextmanager
def _plainly() -> Iterator[None]:
    """Ordinary tensors on the CPU, whatever the default device and inference mode at the first call."""
    with torch.device("cpu"), torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        yield


def _mirrored(samples: Tensor, lengths: Tensor, size: int) -> Tensor:
    """(B, N + 2 size): each row mirrored at its two ends, again and again where it is shorter than `size`.

    What lies beyond the mirror image at a row's end isn't set.
    """
    last = (lengths - 1).clamp_min(0)[:, None]  # (B, 1)
    period = (2 * last).clamp_min(1)  # mirror images repeat after 2 (N - 1)
    steps = torch.arange(size, device=samples.device)
    after = lengths[:, None] + steps  # (B, size)
    places = torch.cat([(steps - size).expand_as(after), after], 1).remainder(period)
    edges = samples.gather(1, places.minimum(period - places))  # (B, 2 size)
    mirrored = F.pad(samples, (size, size))
    mirrored[:, :size] = edges[:, :size]
    return mirrored.scatter_(1, size + after, edges[:, size:])


def _sounding(samples: Tensor) -> int:
    """How many samples there are before the silence that all rows end with, or some more.

    On the CPU only: others would have to wait for the answer, and compute the silence as fast.
    """
    width = samples.shape[1]
    if samples.device.type != "cpu" or bool(samples[:, -SAMPLE_RATE:].any()):
        return width
    whole = samples[:, : width - width % _HOP].reshape(len(samples), -1, _HOP)  # (B, T, 160)
    loud = whole.abs().amax((0, 2)).nonzero()
    return (int(loud[-1]) + 1) * _HOP if len(loud) else 0


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

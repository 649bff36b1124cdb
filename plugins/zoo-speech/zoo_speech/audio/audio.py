"""Opens sound files that may be anything: what is too long, damaged or no sound is refused before it costs memory."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.data import open_file
from zoo_speech.audio.channels import Mixer, Samples, finite
from zoo_speech.audio.containers import (
    CONVERT,
    REPAIR,
    VALID,
    Damaged,
    Refused,
    SteadyFile,
    is_cut,
    kind_of,
    links,
    size_of,
    slack,
    tells_its_length,
    with_length,
)
from zoo_speech.audio.resampling import resample
from zoo_speech.audio.tails import without_tail

Block = tuple[int, npt.NDArray[np.float32]]
"""A rate and the next (n, C)."""
Blocks = Generator[Block, None, None]


class Waveform(NamedTuple):
    """Sound in memory."""

    samples: Samples
    """(N,) float32, one channel, full scale from -1 to 1; files of floating-point numbers may go beyond."""
    rate: int
    """Samples per second."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


class Info(NamedTuple):
    """What the head of a sound file promises."""

    rate: int
    """Samples per second."""
    channels: int
    """1 for mono, 2 for stereo."""
    frames: int | None
    """Samples of one channel; None where the head doesn't give them exactly."""
    seconds: float | None
    """None where the head doesn't tell, as those of raw AAC, AMR and MP3 without a Xing header."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a recording may cost; checked on its header, and again while it is decoded since headers lie."""

    max_bytes: int = 256 << 20
    """Bytes of the file."""
    max_seconds: float = 3_600
    """Length."""
    max_frames: int = 200_000_000
    """Samples of one channel, whatever the rate: at most 800 MB once decoded. An hour at 48 kHz has 173 million."""
    max_channels: int = 8
    """They are mixed into one."""
    min_rate: int = 1_000
    """Hz."""
    max_rate: int = 384_000
    """Hz."""


# What soundfile, PyAV and what lies below them raise on damaged files, besides their own.
_FAILURES = (RuntimeError, OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, MemoryError)
_BLOCK = 1 << 16
_DEMUXERS = {
    **{name: name for name in ("flac", "mp3", "aac", "amr", "g722")},
    **{"mp4": "mov", "matroska": "matroska,webm"},
}
_CODECS = (
    *(
        "aac",
        "alac",
        "amrnb",
        "amrwb",
        "flac",
        "g722",
        "libopus",
        "mp2",
        "mp2float",
        "mp3",
        "mp3float",
        "opus",
        "vorbis",
    ),
    *("pcm_alaw", "pcm_mulaw", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"),
)


def read_audio(source: Path | bytes, *, limits: Limits = Limits(), name: str = "") -> Waveform:
    """The sound, its channels averaged into one, at its own rate; the loudest channel where they cancel each other out.

    `name` is for messages; where `source` is bytes, its ending tells raw G.722, which nothing else could. Links to files
    are followed. Raises `DataError`, naming the file and the second, for whatever isn't a whole recording within the
    limits: also where a file is cut off, as far as its format can tell (raw G.722, AAC and AMR, MP2, MP3 without a Xing
    header and Ogg cut between two pages can't), and where a sample isn't finite or is beyond 1,000 times full scale.
    """
    try:
        with _opened(source, limits) as file:
            kind = kind_of(file, Path(name if isinstance(source, bytes) else source.name).suffix.lower())
            decode = _av_blocks if kind in _DEMUXERS else _sound_blocks
            mixer = Mixer()
            with closing(decode(file, kind, limits)) as blocks:
                found = _collected(blocks, mixer, limits)
            if mixer.cancelled is None:
                return found
            file.seek(0)
            with closing(decode(file, kind, limits)) as blocks:
                return _collected(blocks, Mixer(mixer.cancelled), limits)
    except Refused as bad:
        raise _error(source, name, bad) from None


def check_audio(source: Path | bytes, *, limits: Limits = Limits(), name: str = "") -> Info:
    """What the header promises, nothing decoded. Raises as `read_audio` does, as far as a header can tell."""
    try:
        with _opened(source, limits) as file:
            kind = kind_of(file, Path(name if isinstance(source, bytes) else source.name).suffix.lower())
            if kind == "g722":  # 64 kbit/s at 16 kHz
                frames = size_of(file) * 2
                return _checked(Info(16_000, 1, frames, frames / 16_000), limits)
            if kind in _DEMUXERS:
                told = tells_its_length(file, kind)
                with _container(file, kind) as container:
                    return _checked(_stream_info(container, told), limits)
            return _checked(_sum([_link_info(link, kind) for link in links(file, kind)]), limits)
    except Refused as bad:
        raise _error(source, name, bad) from None


def resampled(waveform: Waveform, rate: int) -> Waveform:
    """The waveform at `rate` Hz, by sinc interpolation with torchaudio's defaults (Hann window, 6 zero crossings).

    Rates in no ratio of whole numbers up to 1,000, as 47,999 to 16,000, are taken as in the nearest one, here 3 to 1: off
    by at most 0.06 % from 7 kHz to 50 kHz. Raises `ValueError` where `rate` isn't from 1,000 to 384,000.
    """
    if not 1_000 <= rate <= 384_000:
        raise ValueError(f"expected a rate from 1,000 to 384,000 Hz, found {rate}")
    if rate == waveform.rate:
        return waveform
    return Waveform(resample(waveform.samples, *_ratio(waveform.rate, rate)), rate)


def wav_bytes(samples: npt.NDArray[Any], rate: int) -> bytes:
    """A 16-bit mono WAV file of floating-point samples (N,) from -1 to 1; what lies beyond is clipped.

    Raises `ValueError` where they aren't one channel of finite floating-point numbers.
    """
    if samples.ndim != 1 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise ValueError(f"expected one channel of finite floats, found {samples.dtype} {samples.shape}")
    # -1 is -32768; 1 would be 32768, which 16 bits don't have.
    data = np.clip(np.rint(samples.astype(np.float64) * 32768), -32768, 32767).astype("<i2").tobytes()
    sizes = (16, 1, 1, rate, rate * 2, 2, 16)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVEfmt ", *sizes, b"data", len(data)) + data


@contextmanager
def _opened(source: Path | bytes, limits: Limits) -> Iterator[IO[bytes]]:
    """A recording's bytes as a file, size checked; opening a pipe never waits for its other end."""
    if isinstance(source, bytes):
        _check_size(len(source), limits)
        yield io.BytesIO(source)
        return
    try:
        with open_file(source) as file:
            _check_size(os.fstat(file.fileno()).st_size, limits)
            yield file
    except DataError as error:
        raise Refused(error.message.removeprefix(f"{source}: "), error.hint) from None


def _check_size(size: int, limits: Limits) -> None:
    if size == 0:
        raise Refused("the file is empty", REPAIR)
    if size > limits.max_bytes:
        raise Refused(f"{size:,} bytes, more than the {limits.max_bytes:,} allowed", "cut it into parts")


def _collected(blocks: Iterator[Block], mixer: Mixer, limits: Limits) -> Waveform:
    """One waveform of (rate, (n, C)) blocks, whatever their header promised."""
    data, frames, rate = bytearray(), 0, 0
    try:
        for new, block in blocks:
            if rate and new != rate:
                raise Damaged(f"the rate changes from {rate:,} to {new:,} Hz", CONVERT)
            rate, frames = new, frames + len(block)
            _check_length(frames, rate, limits)
            data += np.ascontiguousarray(mixer(finite(block, frames - len(block), rate))).data
    except Damaged as damage:
        place = f"after {frames / rate:.2f} s" if frames else "from its start"
        raise Refused(f"{damage.message} {place}", damage.hint) from None
    if not frames:
        raise Refused("no sound in it, 0 samples", REPAIR)
    return Waveform(np.frombuffer(data, np.float32), rate)


def _checked(info: Info, limits: Limits) -> Info:
    if not limits.min_rate <= info.rate <= limits.max_rate:
        allowed = f"{limits.min_rate:,} to {limits.max_rate:,} allowed"
        raise Refused(f"{info.rate:,} samples per second, outside the {allowed}", REPAIR)
    if not 1 <= info.channels <= limits.max_channels:
        raise Refused(f"{info.channels} channels, outside the 1 to {limits.max_channels} allowed", "mix or split it")
    if info.frames == 0:
        raise Refused("no sound in it, 0 samples", REPAIR)
    frames = info.frames if info.frames is not None else (info.seconds or 0) * info.rate
    _check_length(int(frames), info.rate, limits)
    return info


def _check_length(frames: int, rate: int, limits: Limits) -> None:
    if frames > limits.max_frames or frames > limits.max_seconds * rate:
        allowed = f"{limits.max_seconds:,} s and {limits.max_frames:,} samples allowed"
        raise Refused(f"{frames / rate:,.0f} s or more, {frames:,} samples: beyond the {allowed}", "cut it into parts")


def _damage(error: BaseException) -> Damaged:
    said = (str(error).splitlines() or [""])[0].split("processing input")[0].removesuffix(" when ")
    said = re.sub(r"^\[Errno [^\]]*\] |^Error opening <[^>]*>: |^Error : ", "", said).rstrip(".: ")
    said = said or type(error).__name__
    return Damaged(f"the sound is cut off or damaged ({said})", REPAIR)


# ---- WAV, Ogg and AIFF through libsndfile


@contextmanager
def _sound_file(file: IO[bytes]) -> Iterator[Any]:
    import soundfile

    try:
        sound = soundfile.SoundFile(SteadyFile(with_length(file)))
    except _FAILURES as error:
        raise _damage(error) from None
    with closing(sound):
        if sound.subtype == "MPEG_LAYER_III":  # its decoder prints to stderr
            raise Refused(f"MP3 in {sound.format}, which is not read", CONVERT)
        sound.seekable = lambda: False  # else it seeks after each block, to where it already is
        yield sound


def _sound_info(sound: Any, cut: bool) -> Info:
    known = 0 <= sound.frames < 1 << 48  # libsndfile says 2**63 - 1 where it doesn't know
    if cut:
        length = f"after {sound.frames / sound.samplerate:.2f} s" if known and sound.samplerate > 0 else ""
        raise Refused(f"the sound is cut off {length}, short of what its header promises", REPAIR)
    frames = sound.frames if known else None
    return Info(sound.samplerate, sound.channels, frames, frames / sound.samplerate if frames is not None else None)


def _link_info(link: IO[bytes], kind: str) -> Info:
    cut = is_cut(link, kind)
    with _sound_file(link) as sound:
        return _sound_info(sound, cut)


def _sum(infos: list[Info]) -> Info:
    frames = None if any(info.frames is None for info in infos) else sum(info.frames or 0 for info in infos)
    rate, channels = infos[0].rate, max(info.channels for info in infos)
    return Info(rate, channels, frames, frames / rate if frames is not None else None)


def _sound_blocks(file: IO[bytes], kind: str, limits: Limits) -> Blocks:
    for link in links(file, kind):
        cut, read = is_cut(link, kind), 0
        with _sound_file(link) as sound:
            info = _sound_info(sound, cut)
            _checked(info._replace(frames=info.frames or None), limits)  # others may hold what one doesn't
            while True:
                try:
                    block = sound.read(_BLOCK, dtype="float32", always_2d=True)
                except _FAILURES as error:
                    raise _damage(error) from None
                if not len(block):
                    break
                read += len(block)
                yield info.rate, block
        if info.frames is not None and read < info.frames:
            raise Damaged(f"the sound is cut off or damaged (its header promises {info.seconds:.2f} s)", REPAIR)


# ---- the others through FFmpeg's libraries: libsndfile stops a FLAC where its header says, and MP3s print to stderr


@contextmanager
def _container(file: IO[bytes], kind: str) -> Iterator[Any]:
    """An open container with sound in it; what isn't on our lists is neither probed nor decoded."""
    import av

    options = {"codec_whitelist": ",".join(_CODECS)}
    try:
        container = av.open(
            without_tail(file) if kind == "mp3" else file,
            format=_DEMUXERS[kind],
            options=options,
            metadata_errors="ignore",
        )
    except (av.FFmpegError, *_FAILURES) as error:
        raise _damage(error) from None
    with closing(container):
        if not container.streams.audio:
            raise Refused("no sound in it", VALID)
        codec = container.streams.audio[0].codec_context
        if codec is None or codec.name not in _CODECS:
            raise Refused(
                f"coded as {'something unknown' if codec is None else codec.name}, which is not read", CONVERT
            )
        yield container


def _stream_info(container: Any, told: bool) -> Info:
    """`told` is whether the length is the container's word: FFmpeg's guess is off by any factor where bit rates change."""
    stream = container.streams.audio[0]
    # A stream's duration is in its time base, a container's in µs.
    length = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / 1e6
    seconds = float(length) if told and length else None
    return Info(stream.codec_context.sample_rate, stream.codec_context.channels, None, seconds)


def _av_blocks(file: IO[bytes], kind: str, limits: Limits) -> Blocks:
    import av

    told = tells_its_length(file, kind)
    with _container(file, kind) as container:
        info, rate, read = _checked(_stream_info(container, told), limits), 0, 0
        container.streams.audio[0].codec_context.options = {"err_detect": "crccheck+explode"}
        try:
            for frame in container.decode(container.streams.audio[0]):
                channels = frame.layout.nb_channels
                _checked(Info(frame.sample_rate, channels, None, None), limits)
                rate, read = frame.sample_rate, read + frame.samples
                values = frame.to_ndarray()  # planar (C, n) or packed (1, n * C)
                yield rate, scaled(values.T if len(values) == channels else values.reshape(-1, channels))
        except (av.FFmpegError, *_FAILURES) as error:
            raise _damage(error) from None
        single = kind != "matroska" or len(container.streams) == 1
        spare = slack(kind, container.streams.audio[0].codec_context.name, info.rate)
    if single and info.seconds and read / (rate or info.rate) + spare < info.seconds:
        raise Damaged(f"the sound is cut off or damaged (its header promises {info.seconds:.2f} s)", REPAIR)


def scaled(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Floats as they are, 8-bit unsigned, 16-bit and 32-bit integers divided by their range, all as float32.

    Raises `TypeError` for other numbers.
    """
    ranges = {"u1": (128, 128), "i2": (0, 1 << 15), "i4": (0, 1 << 31)}
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinite, and refused as such
            return values.astype(np.float32)
    if values.dtype.str[1:] not in ranges:
        raise TypeError(f"{values.dtype} can't be taken for samples")
    zero, scale = ranges[values.dtype.str[1:]]
    return (values.astype(np.float32) - np.float32(zero)) / np.float32(scale)


def _ratio(source: int, target: int) -> tuple[int, int]:
    """The rates as small whole numbers: the filter has their product's size."""
    near = Fraction(min(source, target), max(source, target)).limit_denominator(1_000)  # neither over 1,000
    small, large = near.numerator, near.denominator
    return (large, small) if source > target else (small, large)


def _error(source: Path | bytes, name: str, bad: Refused) -> DataError:
    where = name or ("the recording" if isinstance(source, bytes) else str(source))
    return DataError(f"{where}: {bad.message}", hint=bad.hint)

"""Audio: every format comes out as mono float32, and what is no sound, cut off or too long is refused, named and cheaply."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
import torchaudio
from zoo_speech.audio.audio import Info, Limits, Waveform, check_audio, read_audio, resampled, wav_bytes
from zoo_speech.datasets.samples import recording_of

from zoo_core import DataError

RATE = 16_000
SECONDS = 0.5
TIMES = np.arange(int(RATE * SECONDS)) / RATE
TONE = (0.3 * np.sin(2 * np.pi * 440 * TIMES) + 0.01 * np.random.default_rng(0).standard_normal(len(TIMES))).astype(
    "f4"
)
EXACT = np.rint(TONE * 32768).astype(np.int16)
SOUNDFILE = {
    "wav": ("WAV", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "deep.wav": ("WAV", "PCM_24"), "u8.wav": ("WAV", "PCM_U8"),
    "rf64.wav": ("RF64", "PCM_16"), "flac": ("FLAC", "PCM_16"), "aiff": ("AIFF", "PCM_16"), "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
PYAV = {"m4a": ("mp4", "aac", RATE), "aac": ("adts", "aac", RATE), "g722": ("g722", "g722", RATE)}
PYAV |= {
    "webm": ("webm", "libopus", 48_000),
    "alac.m4a": ("mp4", "alac", RATE),
    "pcm.mka": ("matroska", "pcm_s16le", RATE),
}
LOSSLESS = ("wav", "float.wav", "deep.wav", "rf64.wav", "flac", "aiff", "alac.m4a", "pcm.mka")
FORMATS = (*SOUNDFILE, *PYAV)


def written(samples: Any, kind: str, subtype: str, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def encoded(container: str, codec: str, rate: int) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "recording"
        options = {"movflags": "faststart"} if container == "mp4" else {}  # what is cut off then is sound, not the head
        with av.open(str(path), "w", format=container, options=options) as output:
            stream: Any = output.add_stream(codec, rate=rate, layout="mono")
            converter = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
            frame = av.AudioFrame.from_ndarray(EXACT[None], format="s16", layout="mono")
            frame.sample_rate = RATE
            for part in (*converter.resample(frame), *converter.resample(None)):
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
        return path.read_bytes()


@cache
def sound(name: str) -> bytes:
    if name in PYAV:
        return encoded(*PYAV[name])
    return written(EXACT if "wav" not in name or name == "wav" else EXACT / 32768, *SOUNDFILE[name])


def level(samples: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


# ---- what is read


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_from_a_path_and_from_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.g722" if name == "g722" else "recording.bin")
    path.write_bytes(sound(name))
    info = check_audio(path)
    samples, rate = read_audio(path)
    assert rate == info.rate == (48_000 if name == "webm" else RATE) and info.channels == 1
    assert info.frames in (None, len(samples))
    if name == "aac":  # its length would be a guess
        assert info.seconds is None
    else:
        assert info.seconds == pytest.approx(len(samples) / rate, abs=0.15)
    assert samples.dtype == np.float32 and samples.ndim == 1 and samples.flags.writeable
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.15)
    assert level(samples) == pytest.approx(level(TONE), rel=0.2)
    assert (read_audio(sound(name), name="a.g722" if name == "g722" else "").samples == samples).all()
    if name in LOSSLESS:
        assert (samples == EXACT / np.float32(32768)).all()


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-flac.g722"
    path.write_bytes(sound("flac"))
    assert (read_audio(path).samples == EXACT / np.float32(32768)).all()


def test_channels_are_averaged_and_floats_not_clipped() -> None:
    left, right = TONE * 4, TONE * -1
    for kind, subtype in (("WAV", "FLOAT"), ("AIFF", "FLOAT")):
        both = read_audio(written(np.stack([left, right], 1), kind, subtype))
        assert np.abs(both.samples).max() > 0.44 and np.allclose(both.samples, (left + right) / 2, atol=1e-7)
    halves = read_audio(written(np.stack([EXACT // 2] * 3, 1), "FLAC", "PCM_16"))
    assert np.abs(halves.samples - (EXACT // 2) / np.float32(32768)).max() < 1e-7


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_channels_that_cancel_each_other_out_leave_the_loudest(kind: str) -> None:
    """A stereo recording with one plug turned round is silence only to who takes the mean."""
    louder = np.stack([EXACT * 0.9, -1.0 * EXACT], 1).astype(np.int16)
    assert (read_audio(written(louder, kind, "PCM_16")).samples == -EXACT / np.float32(32768)).all()
    for array in (louder / np.float32(32768), (louder / np.float32(32768)).T):
        assert (recording_of(array, 0).waveform.samples == -EXACT / np.float32(32768)).all()
    draws = np.random.default_rng(5).normal(0, 0.1, (2, 8_000, 8)).astype("f4")
    for apart in (draws[0], draws[1, :, :2]):  # which cancel nothing out, though their mean is quieter
        assert np.allclose(read_audio(written(apart, "WAV", "FLOAT")).samples, apart.mean(1), atol=1e-6)
    assert not read_audio(written(np.zeros((800, 2)), kind, "PCM_16")).samples.any()


def test_a_long_file_comes_block_by_block_as_it_went() -> None:
    draw = np.random.default_rng(3).integers(-9000, 9000, 200_000).astype(np.int16)
    for kind, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16")):
        assert (read_audio(written(draw, kind, subtype)).samples == draw / np.float32(32768)).all()
    data = written(draw, "OGG", "VORBIS")
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (read_audio(data).samples == whole).all()


def test_lengths_that_nobody_knew_when_writing_are_no_fault() -> None:
    wav, flac = bytearray(sound("wav")), bytearray(sound("flac"))
    start = wav.index(b"data") + 4
    wav[start : start + 4] = b"\xff" * 4
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    for data in (bytes(wav), bytes(flac), b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + bytes(flac)):
        assert (read_audio(data).samples == EXACT / np.float32(32768)).all()
    assert check_audio(bytes(flac)) == Info(RATE, 1, None, None)


@pytest.mark.parametrize("whole", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_whose_sizes_were_never_written_is_read_to_its_end(length: int, whole: int) -> None:
    wav = sound("wav")
    start = wav.index(b"data") + 4
    data = b"RIFF" + struct.pack("<I", whole) + wav[8:start] + struct.pack("<I", length) + wav[start + 4 :]
    assert (read_audio(data).samples == EXACT / np.float32(32768)).all()
    assert check_audio(data) == Info(RATE, 1, len(EXACT), SECONDS)


def test_a_wav_without_sound_is_none_whatever_comes_behind() -> None:
    wav = sound("wav")
    empty = wav[: wav.index(b"data")] + b"data" + bytes(4)
    for behind in (b"", b"LIST" + struct.pack("<I", 10) + b"INFO" + bytes(6)):
        for read in (read_audio, check_audio):
            with pytest.raises(DataError, match="0 samples"):
                read(empty + behind)


def test_a_flac_that_promises_too_little_is_read_to_its_end() -> None:
    flac = bytearray(sound("flac"))
    flac[22:26] = struct.pack(">I", 100)
    assert len(read_audio(bytes(flac)).samples) == len(EXACT)


# ---- what is refused

REFUSED: dict[str, tuple[bytes, str]] = {
    "text.wav": (b"hello, I am a text\n", "not a recording that can be read"),
    "empty.wav": (b"", "the file is empty"),
    "page.wav": (b"<!doctype html><html>404</html>", "a web page"),
    "page.g722": (b"\xef\xbb\xbf\n<html>404</html>", "a web page"),
    "text.g722": (b"hello, I am a text\n" * 40, "not a recording but text"),
    "evil.wav": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94\x8c\x01a\x94]\x94(K\x01K\x02K\x03es.", "a Python pickle"),
    "evil.g722": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94\x8c\x01a\x94]\x94(K\x01K\x02K\x03es.", "a Python pickle"),
    "archive.flac": (b"PK\x03\x04" + bytes(40), "a ZIP archive"),
    "pointer.wav": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
    "utf16.mp3": ("hello".encode("utf-16"), "not a recording that can be read"),
    "head.wav": (b"RIFF\0\0\0\0WAVEfmt ", "cut off or damaged"),
    "head.flac": (b"fLaC" + bytes(10), "cut off or damaged"),
    "head.m4a": (b"\0\0\0\x18ftypM4A " + bytes(20), "cut off or damaged"),
    "video.webm": (b"\x1a\x45\xdf\xa3" + bytes(60), "cut off or damaged"),
    "none.wav": (wav_bytes(np.zeros(0), RATE), "no sound in it, 0 samples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_named_with_the_reason(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    for read in (read_audio, check_audio):
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert str(path) in caught.value.message and caught.value.hint


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "g722"])  # it has neither header nor end
def test_a_recording_that_is_cut_off_is_refused_with_the_second(name: str, share: float) -> None:
    data = sound(name)
    with pytest.raises(DataError, match=r"(cut off|damaged).*(after 0\.\d\d s|from its start)"):
        read_audio(data[: int(len(data) * share)])


def test_a_damaged_flac_is_noticed_by_its_checksum() -> None:
    data = bytearray(sound("flac"))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(DataError, match="damaged"):
        read_audio(bytes(data))


def header(rate: int, channels: int) -> bytes:
    data = bytearray(wav_bytes(np.zeros(480), RATE))
    data[22:34] = struct.pack("<HIIH", channels, rate, (rate * channels * 2) % 2**32, channels * 2)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(0, 1), "samples per second, outside|damaged"),
        (header(999, 1), "999 samples per second, outside the 1,000 to 384,000 allowed"),
        (header(10_000_000, 1), "10,000,000 samples per second, outside"),
        (header(RATE, 64), "64 channels, outside the 1 to 8 allowed"),
        (header(RATE, 0), "channels|damaged"),
    ],
)
def test_absurd_rates_and_channels_are_refused(data: bytes, message: str) -> None:
    for read in (read_audio, check_audio):
        with pytest.raises(DataError, match=message):
            read(data)
    assert check_audio(header(384_000, 8)) == Info(384_000, 8, 60, 60 / 384_000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"the sample at second 0\.250 is nan"),
        (-np.inf, "is -inf"),
        (1e30, r"expected -1 to 1, found 1e\+30"),
        (-1001, "expected -1 to 1, found -1001"),
    ],
)
def test_samples_that_are_no_sound_are_refused(value: float, message: str) -> None:
    for channels in (1, 2):
        samples = np.zeros((8000, channels), np.float32)
        samples[4000, -1] = value
        with pytest.raises(DataError, match=message):
            read_audio(written(samples, "WAV", "FLOAT"))
    double = np.full(100, 1e300)
    with pytest.raises(DataError, match="is inf"):
        read_audio(written(double, "WAV", "DOUBLE"))


def test_a_codec_that_is_not_on_the_list_is_never_opened() -> None:
    with pytest.raises(DataError, match="coded as ac3, which is not read"):
        read_audio(encoded("mp4", "ac3", 48_000))


def test_plots_in_a_container_are_no_sound() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        output.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(DataError, match="no sound in it"):
        read_audio(buffer.getvalue())


def test_limits_can_be_set() -> None:
    for name in ("wav", "mp3", "m4a", "ogg"):
        for limits in (Limits(max_bytes=20), Limits(max_seconds=0.4), Limits(max_frames=7000), Limits(min_rate=50_000)):
            for read in (read_audio, check_audio):
                with pytest.raises(DataError, match="allowed"):
                    read(sound(name), limits=limits)
        assert len(read_audio(sound(name), limits=Limits(max_seconds=0.7, max_channels=1)).samples) >= 8000


def test_a_header_that_lies_about_the_length_does_not_lift_the_limit() -> None:
    flac = bytearray(sound("flac"))
    flac[22:26] = struct.pack(">I", 100)
    assert check_audio(bytes(flac), limits=Limits(max_seconds=0.4)).seconds == pytest.approx(100 / RATE)
    with pytest.raises(DataError, match=r"0 s or more, .* samples: beyond the 0\.4 s"):
        read_audio(bytes(flac), limits=Limits(max_seconds=0.4))


CHILD = """
import sys, time
from pathlib import Path
import av, soundfile
from zoo_core import DataError
from zoo_speech.audio.audio import read_audio
from zoo_core.testing import peak_memory
before = peak_memory()
for path in sys.argv[1:]:
    started = time.perf_counter()
    try:
        read_audio(Path(path))
    except DataError:
        pass
    else:
        raise SystemExit(f"{path} was read")
    assert time.perf_counter() - started < 1, path
print(peak_memory() - before)
"""


def test_bombs_are_refused_before_they_cost_memory(tmp_path: Path) -> None:
    silence = written(np.zeros(16_000 * 60, np.int16), "FLAC", "PCM_16")
    long = bytearray(silence)
    long[22:26] = struct.pack(">I", 16_000 * 36_000)
    files = {
        "ten-hours.flac": bytes(long),
        "chunks.wav": b"RIFF\0\0\0\0WAVE" + bytes(20_000_000),
        "zeros.ogg": b"OggS" + bytes(20_000_000),
        "tag.mp3": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1000),
        "cut.m4a": sound("m4a")[:-2000] + bytes(2_000_000),
        "deep.webm": sound("webm")[:300] + b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7 + bytes(2_000_000),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in files]
    run = subprocess.run([sys.executable, "-W", "error", "-c", CHILD, *paths], capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == ""
    assert int(run.stdout) < 64_000  # KiB


FUZZ = """
import pickle, sys, time
from pathlib import Path
import av, soundfile
import numpy as np
from zoo_core import DataError
from zoo_speech.audio.audio import read_audio
from zoo_core.testing import peak_memory
draw = np.random.default_rng(1)
before = peak_memory()
tried = refused = 0
for path in map(Path, sys.argv[1:]):
    data, started = path.read_bytes(), time.perf_counter()
    for turn in range(230):
        spoilt = bytearray(data)
        reach = len(data) if turn % 2 else min(len(data), 200)
        for place in draw.integers(4, reach, int(draw.integers(1, 5))):
            width = int(draw.choice([1, 1, 1, 4, 16]))
            spoilt[place : place + width] = draw.bytes(width) if draw.integers(3) else bytes([draw.choice([0, 255])]) * width
        if turn % 5 == 0:
            del spoilt[int(draw.integers(12, len(data))) :]
        tried, moment = tried + 1, time.perf_counter()
        try:
            samples, rate = read_audio(bytes(spoilt), name=path.name)
            assert samples.dtype == np.float32 and len(samples) and np.abs(samples).max() <= 1e3 and 1000 <= rate <= 384_000
        except DataError as error:
            refused += 1
            assert error.message.startswith(path.name + ": ") and "Traceback" not in str(error)
        assert time.perf_counter() - moment < 1, (path.name, turn)
print(tried, refused, peak_memory() - before)
"""


def test_anything_spoilt_gives_sound_or_a_data_error_and_silence_on_stderr(tmp_path: Path) -> None:
    names = (
        "wav",
        "float.wav",
        "rf64.wav",
        "flac",
        "aiff",
        "ogg",
        "opus",
        "mp3",
        "m4a",
        "aac",
        "webm",
        "alac.m4a",
        "g722",
    )
    for name in names:
        (tmp_path / f"a.{name}").write_bytes(sound(name))
    paths = [str(tmp_path / f"a.{name}") for name in names]
    run = subprocess.run([sys.executable, "-W", "error", "-c", FUZZ, *paths], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    tried, refused, growth = map(int, run.stdout.split())
    assert run.stderr == "" and tried == 230 * len(names) and 500 < refused < tried and growth < 128_000


# ---- what is no ordinary file


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [pipe, folder, loop, lambda path: None], ids=["pipe", "folder", "loop", "missing"])
def test_pipes_folders_loops_and_missing_files_are_refused_at_once(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    make(path)
    started = time.perf_counter()
    for read in (read_audio, check_audio):
        with pytest.raises(DataError, match=r"x\.wav: "):
            read(path)
    assert time.perf_counter() - started < 0.5


def test_links_to_recordings_are_followed_and_names_escaped(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(sound("wav"))
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    assert len(read_audio(tmp_path / "link.wav").samples) == len(EXACT)
    path = tmp_path / "\x1b[2Jx.wav"
    path.write_bytes(b"no sound")
    with pytest.raises(DataError) as caught:
        read_audio(path)
    assert "\x1b" not in str(caught.value) and "\\x1b[2Jx.wav" in str(caught.value)


# ---- resampling and writing


@pytest.mark.parametrize(("source", "target"), [(16_000, 8_000), (8_000, 16_000), (44_100, 16_000), (16_000, 44_100)])
def test_resampling_equals_torchaudio_and_keeps_the_tone(source: int, target: int) -> None:
    times = np.arange(source // 2) / source
    wave = Waveform(np.sin(2 * np.pi * 440 * times).astype(np.float32), source)
    result = resampled(wave, target)
    assert (
        result.rate == target and result.samples.dtype == np.float32 and result.seconds == pytest.approx(0.5, abs=1e-4)
    )
    expected = torchaudio.functional.resample(torch.from_numpy(wave.samples), source, target)
    assert np.allclose(result.samples, expected.numpy(), atol=1e-5)
    inner = slice(target // 20, -target // 20)
    tone = np.sin(2 * np.pi * 440 * np.arange(len(result.samples)) / target)
    assert np.abs(result.samples - tone)[inner].max() < 2e-3
    assert resampled(wave, source) is wave


def test_rates_in_no_small_ratio_cost_neither_time_nor_memory() -> None:
    started = time.perf_counter()
    result = resampled(Waveform(np.zeros(47_999, np.float32), 47_999), 16_000)
    assert time.perf_counter() - started < 2 and result.rate == 16_000 and abs(len(result.samples) - 16_000) < 10
    for rate in (0, -1, 10**9):
        with pytest.raises(ValueError, match="384,000"):
            resampled(result, rate)


def test_wav_bytes_are_read_back_exactly_and_clip() -> None:
    data = wav_bytes(EXACT / 32768, 22_050)
    samples, rate = read_audio(data)
    assert rate == 22_050 and (samples == EXACT / np.float32(32768)).all() and data == wav_bytes(samples, rate)
    loud = read_audio(wav_bytes(np.array([0.5, 3.0, -3.0], np.float32), RATE)).samples
    assert loud.tolist() == [0.5, 32767 / 32768, -1.0]
    for bad in (np.zeros((2, 4)), np.array([np.nan]), EXACT):
        with pytest.raises(ValueError, match="one channel of finite floats"):
            wav_bytes(bad, RATE)

"""Containers: valid ones are read whole however they are laid out, and what wouldn't be heard is refused by its name."""

from __future__ import annotations

import io
import struct
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from zoo_speech.audio.audio import Info, Limits, check_audio, read_audio
from zoo_speech.audio.containers import SUFFIXES

from zoo_core import DataError

RATE = 16_000
NOISE = np.random.default_rng(0).integers(-9_000, 9_000, RATE).astype(np.int16)
NO_XING = {"write_xing": "0"}
ID3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
ID3_WITH_FOOTER = b"ID3\4\0\x10\0\0\0\x0a" + bytes(10) + b"3DI\4\0\x10\0\0\0\x0a"


def written(kind: str, subtype: str, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def encoded(
    container: str, codec: str, rate: int = RATE, samples: npt.NDArray[np.int16] = NOISE, **options: str
) -> bytes:
    """`samples` (N,) at `rate`; Vorbis in stereo, since FFmpeg's encoder knows nothing else."""
    layout = "stereo" if codec == "vorbis" else "mono"
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "recording"
        with av.open(str(path), "w", format=container, options=options) as output:
            coded = {"flags": "+qscale", "global_quality": "0", "strict": "experimental"}
            stream: Any = output.add_stream(codec, rate=rate, layout=layout, options=coded)
            converter = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            for part in (*converter.resample(frame), *converter.resample(None)):
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
        return path.read_bytes()


# ---- Ogg


@pytest.mark.parametrize("subtypes", [("VORBIS", "VORBIS"), ("OPUS", "OPUS"), ("VORBIS", "OPUS", "VORBIS")])
def test_oggs_one_after_the_other_are_read_to_the_last_ones_end(subtypes: tuple[str, ...]) -> None:
    streams = [written("OGG", subtype) for subtype in subtypes]
    expected = np.concatenate([read_audio(stream).samples for stream in streams])
    assert len(expected) == len(subtypes) * len(NOISE)
    assert np.array_equal(read_audio(b"".join(streams)).samples, expected)
    assert check_audio(b"".join(streams)) == Info(RATE, 1, len(expected), len(subtypes))
    for read in (read_audio, check_audio):
        with pytest.raises(DataError, match="allowed"):
            read(b"".join(streams), limits=Limits(max_seconds=len(subtypes) - 0.5))
        with pytest.raises(DataError, match="cut off"):
            read(b"".join(streams)[:-200])


def test_oggs_one_after_the_other_have_one_rate_and_an_end() -> None:
    first, second = written("OGG", "VORBIS"), written("OGG", "VORBIS", 2 * RATE)
    with pytest.raises(DataError, match=r"the rate changes from 16,000 to 32,000 Hz after 1\.00 s"):
        read_audio(first + second)
    started = time.perf_counter()
    for read in (read_audio, check_audio):
        with pytest.raises(DataError, match="more than 1,000 Ogg streams"):
            read(first[:200] + b"OggS\0\2OggS\0\0" * 1_000_000)
    assert time.perf_counter() - started < 1


def test_codecs_that_a_container_may_hold_but_that_are_not_read_are_named() -> None:
    for data, name in ((encoded("ogg", "flac"), "FLAC in Ogg"), (encoded("wav", "libmp3lame"), "MP3 in WAV")):
        for read in (read_audio, check_audio):
            with pytest.raises(DataError, match=f"{name}, which is not read") as caught:
                read(data)
            assert "convert it" in caught.value.hint


# ---- MP3 and AAC


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_a_length_that_is_guessed_from_the_first_bit_rate_counts_for_nothing(first: int, second: int) -> None:
    """LAME codes silence with 8 kbit/s here and noise with many times as much."""
    samples = np.repeat([first, second], 20 * RATE).astype(np.int16) * np.tile(NOISE, 40)
    data = encoded("mp3", "libmp3lame", samples=samples, **NO_XING)
    limits = Limits(max_seconds=41)
    assert check_audio(data, limits=limits).seconds is None
    assert read_audio(data, limits=limits).seconds == pytest.approx(40, abs=0.2)
    with pytest.raises(DataError, match=r"beyond the 30 s"):
        read_audio(data, limits=Limits(max_seconds=30))
    assert check_audio(encoded("adts", "aac")).seconds is None
    assert check_audio(encoded("mp3", "libmp3lame")).seconds == 1


@pytest.mark.parametrize("tags", [ID3 * 2, ID3_WITH_FOOTER, ID3_WITH_FOOTER + ID3])
def test_tags_before_an_mp3_are_passed_over(tags: bytes) -> None:
    data = encoded("mp3", "libmp3lame")
    assert check_audio(tags + data).seconds == 1
    assert np.array_equal(read_audio(tags + data).samples, read_audio(data).samples)


@pytest.mark.parametrize("zeros", [1, 600, 60_000])
def test_zeros_after_a_tag_are_passed_over(zeros: int) -> None:
    assert read_audio(ID3 + bytes(zeros) + encoded("mp3", "libmp3lame", id3v2_version="0")).seconds == pytest.approx(
        1, abs=0.15
    )


APE = struct.pack("<IIII8x", 2_000, 80, 1, 1 << 31)
LYRICS3 = b"LYRICSBEGIN" + b"IND00002" + b"00" + b"abc" * 90 + b"000291LYRICS200"
TAILS = {
    "ID3v1": b"TAG" + b"a" * 125,
    "extended ID3v1": b"TAG+" + b"b" * 223 + b"TAG" + bytes(125),
    "Lyrics3": b"LYRICSBEGIN" + b"la " * 100 + b"LYRICSEND" + b"TAG" + b"a" * 125,
    "Lyrics3 v2": LYRICS3 + b"TAG" + bytes(125),
    "APE": b"APETAGEX" + APE + b"\xff\xfb\x90\x64" * 12 + b"APETAGEX" + APE,
    "APE without a head": b"\xff\xfb\x90\x64" * 12 + b"APETAGEX" + APE,
    "ID3v2": b"ID3\4\0\x10\0\0\0\x14" + bytes(20) + b"3DI\4\0\x10\0\0\0\x14",
    "one zero": b"\0",
    "zeros": bytes(70_000),
    "all of them": bytes(300) + LYRICS3 + b"APETAGEX" + struct.pack("<IIII8x", 2_000, 32, 0, 0) + b"TAG" + bytes(125),
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("settings", [{}, NO_XING])
def test_what_stands_behind_the_last_frame_of_an_mp3_is_no_damage(settings: dict[str, str], tail: bytes) -> None:
    data = encoded("mp3", "libmp3lame", **settings)
    assert check_audio(data + tail) == check_audio(data)
    assert np.array_equal(read_audio(data + tail).samples, read_audio(data).samples)
    mp2 = encoded("mp2", "mp2")
    assert np.array_equal(read_audio(mp2 + tail).samples, read_audio(mp2).samples)


def test_what_is_no_tail_is_damage_still() -> None:
    data = encoded("mp3", "libmp3lame")
    spoilt = data[:1500] + bytes(400) + data[1900:]  # zeros between frames are no tail
    for damaged in (spoilt, spoilt + bytes(5_000), data[: len(data) // 2] + TAILS["ID3v1"], data[:900] + bytes(20_000)):
        with pytest.raises(DataError, match="cut off or damaged"):
            read_audio(damaged)
    for lies in (b"999999LYRICS200", b"APETAGEX" + struct.pack("<IIII8x", 2_000, 1 << 31, 1, 0)):  # longer than all
        with pytest.raises(DataError, match="cut off or damaged"):
            read_audio(data + b"x" * 2_000 + lies)


def test_mp2_is_read_by_its_content_and_found_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "broadcast.mp2"
    path.write_bytes(encoded("mp2", "mp2"))
    assert read_audio(path).seconds == pytest.approx(1, abs=0.1) and path.suffix in SUFFIXES


def test_tails_without_end_cost_no_time() -> None:
    data = encoded("mp3", "libmp3lame")
    started = time.perf_counter()
    for tail in (TAILS["ID3v1"] * 200_000, bytes(100 << 20), b"\xff\xf3\x18\xc4" * 3_000 + bytes(9)):
        with suppress(DataError):
            read_audio(data + tail)
    assert time.perf_counter() - started < 3


def test_tags_without_end_are_no_recording_and_cost_no_time() -> None:
    started = time.perf_counter()
    with pytest.raises(DataError, match="not a recording that can be read"):
        read_audio(ID3 * 1_000_000)
    assert time.perf_counter() - started < 1


# ---- Matroska


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
@pytest.mark.parametrize("codec", ["libmp3lame", "aac", "vorbis"])
def test_what_an_encoder_adds_in_matroska_is_nothing_missing(codec: str, rate: int) -> None:
    samples = np.tile(NOISE, 2)[: int(1.2 * rate)]
    data = encoded("matroska", codec, rate, samples)
    assert read_audio(data).seconds == pytest.approx(1.2, abs=0.1)
    with pytest.raises(DataError, match="cut off or damaged"):
        read_audio(data[: len(data) // 2])


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_codecs_that_add_nothing_lack_nothing(codec: str) -> None:
    data = bytearray(encoded("matroska", codec))
    place = data.index(b"\x44\x89\x88") + 3  # the length, as a double of 8 bytes in ms
    (promised,) = struct.unpack(">d", data[place : place + 8])
    assert read_audio(bytes(data)).seconds == 1 == round(promised) / 1000
    data[place : place + 8] = struct.pack(">d", promised + 100)
    with pytest.raises(DataError, match=r"its header promises 1\.10 s"):
        read_audio(bytes(data))

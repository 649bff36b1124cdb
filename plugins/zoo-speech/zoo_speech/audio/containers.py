"""What a sound file is by its bytes, and what its container itself says of its parts, its length and bytes that are missing."""

from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from itertools import pairwise
from typing import IO, Any

SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".g722", ".722"),
    *(".m4a", ".mp4", ".aac", ".webm", ".mka", ".mkv", ".amr"),
)
"""Endings by which recordings are found in a folder. Content decides what they are, save for G.722, which has no header."""

CONVERT = "convert it to WAV or FLAC"
REPAIR = "replace the file or leave it out"
VALID = "valid by content: WAV, FLAC, Ogg (Vorbis, Opus), MP3, MP2, AIFF, M4A, AAC, WebM, AMR; by its ending .g722: raw G.722"
_SLACK = 0.05  # s: what encoders add and players take away at both ends
_PADDING = 2_304  # samples: what Matroska counts of that, two frames of MP3 or blocks of Vorbis or AAC
_MOST_CHUNKS = 10_000
_MOST_TAGS = 16
_MOST_LINKS = 1_000
_MOST_ZEROS = 1 << 16  # FFmpeg looks no further for a frame
_LONGEST_PAGE = 27 + 255 + 255 * 255
_OGG_FLAC = re.compile(rb"OggS.{24}\x7fFLAC", re.DOTALL)
_FIRST_PAGE = re.compile(rb"OggS\0[\2\3\6\7]")
_LATER_PAGE = re.compile(rb"OggS\0[\0\1\4\5]")
_FOREIGN = {
    b"PK\x03\x04": ("a ZIP archive", "unpack it first"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it first"),
    b"%PDF": ("a PDF document", ""),
    b"\x89PNG": ("an image", ""),
    b"\xff\xd8\xff": ("an image", ""),
    b"MThd": ("MIDI, which is notes and not sound", "render it to WAV"),
    b"NIST_1A": ("NIST SPHERE, which is not read", CONVERT),
    b".snd": ("a Sun AU file, which is not read", CONVERT),
    b"<?xml": ("an XML document", "download it again"),
    b"<!DOCTYPE": ("a web page, perhaps of a failed download", "download it again"),
    b"<html": ("a web page, perhaps of a failed download", "download it again"),
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file itself with: git lfs pull"),
}


class Refused(Exception):  # never leaves this module
    """Why a recording can't be used, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Damaged(Refused):
    """The sound stops or is spoilt; whoever counts the frames adds where."""


class SteadyFile:
    """A file for libsndfile, which may seek to before its start: an error in a callback would be printed."""

    def __init__(self, file: Any) -> None:
        self.read, self.tell, self.readinto = file.read, file.tell, file.readinto
        self._seek = file.seek

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The place it is at then, unmoved where there is no such place."""
        with suppress(ValueError, OSError):
            self._seek(offset, whence)
        return int(self.tell())


def kind_of(file: IO[bytes], ending: str) -> str:
    """What the file is by its first bytes; the file is left at its start. Raises `Refused` for what isn't read."""
    start = _after_tags(file, _MOST_ZEROS)
    head, frame = start[:512], start.lstrip(b"\0")[:2]  # some pad their tag with zeros that it doesn't count
    _refuse_foreign(head)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    signs = {b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "matroska", b"#!AMR": "amr"}
    found = next((kind for sign, kind in signs.items() if head.startswith(sign)), "")
    if _OGG_FLAC.match(head):
        raise Refused("FLAC in Ogg, which is not read", CONVERT)
    if found or head[4:8] == b"ftyp":
        return found or "mp4"
    if ending in (".g722", ".722"):
        if re.fullmatch(rb"[\t\n\r -~]{1,512}", head):
            raise Refused("not a recording but text", VALID)
        return "g722"
    if len(frame) == 2 and frame[0] == 0xFF and frame[1] & 0xE0 == 0xE0:
        if frame[1] & 0xF6 == 0xF0:  # ADTS: twelve bits of sync, layer 0
            return "aac"
        if frame[1] & 0x06 in (0x02, 0x04):  # layers III and II
            return "mp3"
    raise Refused("not a recording that can be read", VALID)


def _after_tags(file: IO[bytes], length: int) -> bytes:
    """The first `length` bytes that aren't an ID3 tag; the file is left at its start."""
    head, place = file.read(length), 0
    for _ in range(_MOST_TAGS):
        if head[:3] != b"ID3" or len(head) < 10:
            break
        place += _tag_length(head)
        file.seek(place)
        head = file.read(length)
    file.seek(0)
    return head


def _tag_length(head: bytes) -> int:
    footer = 10 if head[5] & 0x10 else 0  # ID3v2.4
    # Synchsafe: seven bits a byte.
    return 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + footer


def _refuse_foreign(head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for sign, (what, hint) in _FOREIGN.items():
        if start[: len(sign)].lower() == sign.lower():
            raise Refused(f"not a recording but {what}", hint or VALID)
    if re.match(rb"\x80[\x02-\x05][\x95(}\]cX\x8c]", head):
        raise Refused("not a recording but a Python pickle, which could run code; it is never opened", VALID)


def links(file: IO[bytes], kind: str) -> list[IO[bytes]]:
    """The file, at its start; of an Ogg file of several streams one after the other, each: libsndfile reads only one.

    Raises `Refused` for more than 1,000.
    """
    if kind != "ogg":
        return [file]
    data, starts = file.read(), [0]
    file.seek(0)
    while (later := _LATER_PAGE.search(data, starts[-1])) and (first := _FIRST_PAGE.search(data, later.end())):
        starts.append(first.start())
        if len(starts) > _MOST_LINKS:
            raise Refused(f"more than {_MOST_LINKS:,} Ogg streams one after the other", CONVERT)
    if len(starts) == 1:
        return [file]
    return [io.BytesIO(data[start:end]) for start, end in pairwise((*starts, len(data)))]


def is_cut(file: IO[bytes], kind: str) -> bool:
    """True where the container itself says that bytes are missing; libsndfile then reads what is left in silence."""
    size = size_of(file)
    cut = _page_is_cut(file, size) if kind == "ogg" else kind in ("wav", "aiff") and _chunk_is_cut(file, size)
    file.seek(0)
    return cut


def _chunk_is_cut(file: IO[bytes], size: int) -> bool:
    start = file.read(12)
    order = ">" if start[:4] in (b"FORM", b"RIFX") else "<"
    place, long = 12, 0
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack(f"{order}4sI", head)
        if name == b"ds64":
            long = int.from_bytes(file.read(16)[8:], "little")  # RF64: lengths of the file and of the sound
        elif name in (b"data", b"SSND"):
            if length == 0xFFFFFFFF and long:
                length = long
            elif length >= 0x7FFF0000:  # written to a pipe: nobody knew the length
                return False
            return bool(place + 8 + length > size)
        # Chunks begin at even places.
        place += 8 + length + length % 2
        file.seek(place)
    return False


def with_length(file: IO[bytes]) -> IO[bytes]:
    """The file at its start; a WAV whose length was never written, 0 before sound, with the length that it has."""
    start = file.read(12)
    size, place, found = size_of(file), 12, 0
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        for _ in range(_MOST_CHUNKS):
            file.seek(place)
            head = file.read(8)
            if len(head) < 8 or head[:4] == b"data":
                found = place + 8 if head == b"data\0\0\0\0" and not _are_chunks(file, place + 8, size) else 0
                break
            length = int.from_bytes(head[4:], "little")
            place += 8 + length + length % 2
    file.seek(0)
    if not found or found == size:
        return file
    data = bytearray(file.read())
    data[found - 4 : found] = (size - found).to_bytes(4, "little")
    return io.BytesIO(data)


def _are_chunks(file: IO[bytes], place: int, size: int) -> bool:
    """Whether everything from that place on is whole chunks, so that it is no sound."""
    for _ in range(_MOST_CHUNKS):
        if place >= size:
            return True
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or not re.fullmatch(rb"[ -~]{4}", head[:4]):
            return False
        length = int.from_bytes(head[4:], "little")
        place += 8 + length + length % 2
        if place > size + 1:
            return False
    return False


def _page_is_cut(file: IO[bytes], size: int) -> bool:
    start = max(0, size - 2 * _LONGEST_PAGE)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS")
    table = tail[place + 27 : place + 27 + tail[place + 26]] if 0 <= place < len(tail) - 26 else b""  # lacing values
    # A page is a head of 27 bytes, its lacing values, and as many bytes as these add up to.
    return not table or place + 27 + len(table) + sum(table) > len(tail)


def tells_its_length(file: IO[bytes], kind: str) -> bool:
    """Whether the container's length is written in it, not guessed from its size and its first frame's bit rate."""
    head = file.read(4096) if kind == "matroska" else _after_tags(file, 512)
    file.seek(0)
    # 44 89 is Matroska's Duration; Xing or Info heads the frame in which an MP3 states its length.
    told = {"mp4": True, "matroska": b"\x44\x89" in head, "mp3": b"Xing" in head[:64] or b"Info" in head[:64]}
    # The last 36 bits before STREAMINFO's checksum are FLAC's number of samples, 0 where it is not known.
    return told.get(kind, kind == "flac" and int.from_bytes(head[21:26]) & 0xF_FFFF_FFFF > 0)


def slack(kind: str, codec: str, rate: int) -> float:
    """Seconds that a whole recording may lack of what its container promises."""
    padded = kind == "matroska" and not codec.startswith(("pcm", "flac", "alac"))
    return max(_SLACK, _PADDING / rate) if padded else _SLACK


def size_of(file: IO[bytes]) -> int:
    """Bytes of the file, which is left at its start."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    return end

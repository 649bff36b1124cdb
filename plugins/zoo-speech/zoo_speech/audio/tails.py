"""Where the sound of an MP3 ends: what taggers and copying tools put behind the last frame is no damage."""

from __future__ import annotations

import io
import re
from typing import IO, Any

from zoo_speech.audio.containers import size_of

_MOST_TAGS = 16
_ID3V1, _EXTENDED = 128, 227
_APE = 32  # bytes of a footer, and of a header
_LYRICS1 = 5_100 + 20  # bytes of text at most, and both marks
_BLOCK = 1 << 16
_NEAR = 8_192  # bytes that hold some frames: one has 1,729 at most
_BIT_RATES = {  # kbit/s by index: MPEG 1's layers III and II, and both of MPEG 2 and 2.5
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)  # of MPEG 1
_HALVED = {3: 0, 2: 1, 0: 2}  # times, in MPEG 1, 2 and 2.5


class Window:
    """The first `size` bytes of a file, as a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, count: int = -1) -> bytes:
        """At most so many bytes, all that are left for a negative number."""
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if count < 0 else min(count, left))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Places are counted from the window's end for `SEEK_END`."""
        if whence == io.SEEK_END:
            offset, whence = max(0, self._size + offset), io.SEEK_SET
        return self._file.seek(offset, whence)


def without_tail(file: IO[bytes]) -> Any:
    """The file without the tags (ID3v1 and its extension, Lyrics3, APE, ID3v2) and zeros behind its last frame; at its start."""
    end = size = size_of(file)
    for _ in range(_MOST_TAGS):
        shorter = _before_zeros(file, _before_tag(file, end))
        if shorter == end:
            break
        end = shorter
    file.seek(0)
    return file if end == size else Window(file, end)


def _before_tag(file: IO[bytes], end: int) -> int:
    """The end without one tag, or the same where there is none."""
    if _read(file, end - _ID3V1, 3) == b"TAG":
        start = end - _ID3V1
        return start - _EXTENDED if _read(file, start - _EXTENDED, 4) == b"TAG+" else start
    mark = _read(file, end - 15, 15)
    if mark.endswith(b"LYRICS200") and mark[:6].isdigit():
        return _if_there(file, end - 15 - int(mark[:6]), b"LYRICSBEGIN", end)
    if mark.endswith(b"LYRICSEND"):
        first = max(0, end - _LYRICS1)
        place = _read(file, first, end - first).rfind(b"LYRICSBEGIN")
        return end if place < 0 else first + place
    footer = _read(file, end - _APE, _APE)
    if footer.startswith(b"APETAGEX"):
        start = end - int.from_bytes(footer[12:16], "little")
        return start - _APE if _read(file, start - _APE, 8) == b"APETAGEX" else _if_there(file, start, b"", end)
    foot = _read(file, end - 10, 10)
    if re.fullmatch(rb"3DI[\x02-\x04].{2}[\0-\x7f]{4}", foot, re.DOTALL):
        # Synchsafe: seven bits a byte. The size leaves out the header and the footer, 10 bytes each.
        length = sum(byte << shift for byte, shift in zip(foot[6:], (21, 14, 7, 0), strict=True))
        return _if_there(file, end - length - 20, b"ID3", end)
    return end


def _if_there(file: IO[bytes], start: int, sign: bytes, otherwise: int) -> int:
    return start if 0 < start < otherwise and _read(file, start, len(sign)) == sign else otherwise


def _before_zeros(file: IO[bytes], end: int) -> int:
    """The end of the last frame where zeros alone follow it, which may end in zeros itself."""
    place = end
    while place > 0:
        first = max(0, place - _BLOCK)
        kept = len(_read(file, first, place - first).rstrip(b"\0"))
        place = first + kept
        if kept:
            break
    first = max(0, place - _NEAR)
    return min(end, first + _last_frame(_read(file, first, place - first), end - first))


def _last_frame(data: bytes, otherwise: int) -> int:
    """Where the longest chain of frames ends that begins in the data and goes on to its end; `otherwise` if none has two."""
    found, most = otherwise, 1
    for start in range(len(data) - 3):
        place, frames = start, 0
        while place < len(data) and (length := frame_length(data[place : place + 4])):
            place, frames = place + length, frames + 1
        if frames > most and place >= len(data):
            found, most = place, frames
    return found


def frame_length(head: bytes) -> int:
    """Bytes of the frame of layer II or III with these first four bytes; 0 where they begin none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    # Version 3 is MPEG 1, 2 is MPEG 2, 0 is 2.5, 1 is reserved; layer 2 is II, 1 is III.
    version, layer, number, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or number in (0, 15) or rate == 3:
        return 0
    first = version == 3
    rates = _BIT_RATES[layer if first else 0]
    slots = 144 if first or layer == 2 else 72  # samples of a frame / 8
    return slots * rates[number - 1] * 1000 // (_RATES[rate] >> _HALVED[version]) + (head[2] >> 1 & 1)


def _read(file: IO[bytes], start: int, count: int) -> bytes:
    if start < 0:
        return b""
    file.seek(start)
    return file.read(count)

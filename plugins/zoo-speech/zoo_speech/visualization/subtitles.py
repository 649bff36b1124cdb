"""What was said when, in the files that players and editors open."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from zoo_speech.audio.timed import Segment

FORMATS = ("srt", "vtt", "json")


def subtitles(segments: Sequence[Segment], form: str) -> str:
    """The segments as `srt`, `vtt` or `json`. Raises `ValueError` for another form, and for times that are none."""
    writers = {"srt": srt, "vtt": vtt, "json": as_json}
    if form not in writers:
        raise ValueError(f"{form!r} is none of {', '.join(FORMATS)}")
    return writers[form](segments)


def cues(segments: Sequence[Segment], *, width: int = 42, pause: float = 1.0) -> list[Segment]:
    """Words joined to lines of at most `width` characters that somebody can read; a new one after `pause` s of silence."""
    lines: list[Segment] = []
    for word in segments:
        last = lines[-1] if lines else None
        if last and len(last.text) + 1 + len(word.text) <= width and word.start - last.end < pause:
            lines[-1] = Segment(last.start, word.end, f"{last.text} {word.text}")
        else:
            lines.append(word)
    return lines


def as_data(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """JSON-able: `start`, `end` in seconds to the millisecond, and `text`."""
    return [{"start": round(start, 3), "end": round(end, 3), "text": text} for start, end, text in segments]


def as_json(segments: Sequence[Segment]) -> str:
    """`as_data` as a JSON document."""
    document = json.dumps(as_data(_checked(segments)), indent=1, ensure_ascii=False) + "\n"
    return document.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")  # many take them for ends of lines


def srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues. Segments without text are left out; an arrow within a text would end its cue and is shortened."""
    cues = [
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{re.sub('-+>', '->', text)}\n"
        for number, (start, end, text) in enumerate(_shown(segments), start=1)
    ]
    return "\n".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT, as browsers show it; what would be markup is escaped."""
    cues = [
        f"\n{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text)}\n" for start, end, text in _shown(segments)
    ]
    return "WEBVTT\n" + "".join(cues)


def _checked(segments: Sequence[Segment]) -> Sequence[Segment]:
    for start, end, _ in segments:
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
            raise ValueError(f"a segment from {start:g} s to {end:g} s")
    return segments


def _shown(segments: Sequence[Segment]) -> Iterator[tuple[int, int, str]]:
    """Start and end in milliseconds, and the text in one line.

    What is shorter than the clock can show lasts its shortest time: WebVTT forbids cues that end as they begin.
    """
    for start, end, text in _checked(segments):
        line = " ".join(text.split())
        if line:
            first = round(start * 1000)
            yield first, max(first + 1, round(end * 1000)), line


def _clock(milliseconds: int, point: str) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

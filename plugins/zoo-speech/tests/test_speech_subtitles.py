"""Subtitles: what players read, times that don't drift, and text that can't break its cue."""

from __future__ import annotations

import json

import pytest
from zoo_speech.subtitles import Segment, as_data, srt, subtitles, vtt

SEGMENTS = [Segment(0.0, 1.5, "Hello,\nworld."), Segment(1.5, 1.6, "  "), Segment(3599.9996, 3661.0214, "5 --> 6 <i>&")]


def test_subrip() -> None:
    assert srt(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, world.\n\n2\n01:00:00,000 --> 01:01:01,021\n5 -> 6 <i>&\n"
    )


def test_webvtt() -> None:
    assert vtt(SEGMENTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello, world.\n"
        "\n01:00:00.000 --> 01:01:01.021\n5 --&gt; 6 &lt;i&gt;&amp;\n"
    )


def test_nothing_was_said() -> None:
    assert srt([]) == "" and vtt([]) == "WEBVTT\n" and as_data([]) == []


def test_json_is_the_data() -> None:
    assert json.loads(subtitles(SEGMENTS, "json")) == as_data(SEGMENTS)
    assert as_data(SEGMENTS)[2] == {"start": 3600.0, "end": 3661.021, "text": "5 --> 6 <i>&"}


@pytest.mark.parametrize("times", [(1.0, 0.5), (-1.0, 0.5), (0.0, float("nan")), (0.0, float("inf"))])
def test_times_that_are_none_are_refused(times: tuple[float, float]) -> None:
    for form in ("srt", "vtt"):
        with pytest.raises(ValueError, match="a segment from"):
            subtitles([Segment(*times, "a")], form)


def test_other_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="none of srt, vtt, json"):
        subtitles(SEGMENTS, "ass")

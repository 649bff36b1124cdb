"""Subtitles: what players read, times that don't drift, and text that can't break its cue."""

from __future__ import annotations

import json

import pytest
from zoo_speech.visualization.subtitles import FORMATS, Segment, as_data, srt, subtitles, vtt

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


def test_no_arrow_of_any_length_is_left() -> None:
    said = [Segment(0, 1, "d ---> e -----> f -> g")]
    assert srt(said).splitlines()[2] == "d -> e -> f -> g"
    assert vtt(said).splitlines()[3] == "d ---&gt; e -----&gt; f -&gt; g"


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        (1, 1, "00:00:01.000 --> 00:00:01.001"),
        (2, 2.0004, "00:00:02.000 --> 00:00:02.001"),
        (0.0015, 0.0015, "00:00:00.002 --> 00:00:00.003"),
        (0, 0.0025, "00:00:00.000 --> 00:00:00.002"),
    ],
)
def test_no_cue_ends_as_it_begins(start: float, end: float, times: str) -> None:
    """WebVTT forbids it, and players would drop the words."""
    said = [Segment(start, end, "a")]
    assert vtt(said).splitlines()[2] == times and srt(said).splitlines()[1] == times.replace(".", ",")


def test_ends_of_lines_in_a_text_end_none() -> None:
    said = [Segment(0, 1, "a\u2028b\u2029c")]
    assert "a b c" in srt(said) and "a b c" in vtt(said)
    document = subtitles(said, "json")
    assert document.splitlines() == document.split("\n")[:-1] and json.loads(document) == as_data(said)


def test_nothing_was_said() -> None:
    assert srt([]) == "" and vtt([]) == "WEBVTT\n" and as_data([]) == []


def test_json_is_the_data() -> None:
    assert json.loads(subtitles(SEGMENTS, "json")) == as_data(SEGMENTS)
    assert as_data(SEGMENTS)[2] == {"start": 3600.0, "end": 3661.021, "text": "5 --> 6 <i>&"}


@pytest.mark.parametrize("times", [(1.0, 0.5), (-1.0, 0.5), (0.0, float("nan")), (0.0, float("inf"))])
def test_times_that_are_none_are_refused(times: tuple[float, float]) -> None:
    for form in FORMATS:
        with pytest.raises(ValueError, match="a segment from"):
            subtitles([Segment(*times, "a")], form)


def test_other_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="none of srt, vtt, json"):
        subtitles(SEGMENTS, "ass")

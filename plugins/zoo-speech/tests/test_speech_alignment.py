"""Alignments are the best of all paths, words lie where their characters do, and attention is that of the tokens' writers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from zoo_speech.audio.timed import Placed
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig
from zoo_speech.configs.tasks import CTCConfig, CTCOptions
from zoo_speech.decoding.alignment import FrameTiming, align, cross_attention, frames_due, words
from zoo_speech.decoding.ctc import greedy
from zoo_speech.decoding.segmentation import split_at_silence
from zoo_speech.evaluation.transcripts import Characters
from zoo_speech.losses import ctc
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.tasks.ctc_recognition import CTCRecognition
from zoo_speech.visualization.subtitles import Segment, cues

from zoo_core.contract import File, Head, NoConfig, TaskContext, inference_mode

AB = Characters(["a", "b"])
CLOCK = FrameTiming(0.02, 0.0025)


def log_probs(frames: int, seed: int, symbols: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(frames, symbols, generator=generator)).log_softmax(-1)


@pytest.mark.parametrize("text", ["", "a", "ab", "aa", "bab", "abba"])
@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_the_best_of_all_that_spell_the_text(text: str, seed: int) -> None:
    scores = log_probs(6, seed)
    paths = [path for path in itertools.product(range(3), repeat=6) if AB.collapse(path) == text]
    sums = [sum(float(scores[frame, symbol]) for frame, symbol in enumerate(path)) for path in paths]
    found = align(scores, text, AB, CLOCK)
    assert tuple(found.path) == paths[int(np.argmax(sums))]
    assert math.log(np.prod(found.probabilities.astype(float))) == pytest.approx(max(sums), rel=1e-4)
    assert "".join(one.symbol for one in found.symbols) == text
    for one in found.symbols:
        frames = [round((second - CLOCK.start) / CLOCK.hop) for second in (one.start, one.end)]
        assert {AB.decode([int(number)]) for number in found.path[slice(*frames)]} == {one.symbol}
    assert len(found.edges) == 7 and found.edges[-1] == pytest.approx(CLOCK.seconds(6))


def test_a_text_that_needs_more_frames_than_there_are_is_refused() -> None:
    assert [frames_due(AB.encode(text)) for text in ("", "ab", "aab", "aaa")] == [0, 2, 4, 5]
    assert align(log_probs(4, 0), "aab", AB, CLOCK).path.tolist() == [1, 0, 1, 2]
    with pytest.raises(ValueError, match="3 frames for 3 symbols"):
        align(log_probs(3, 0), "aab", AB, CLOCK)


def test_the_text_of_the_likeliest_path_lies_along_that_path() -> None:
    scores = log_probs(40, 7)
    (text,) = greedy(AB, scores[None], torch.tensor([40]))
    assert len(text) > 10
    assert align(scores, text, AB, CLOCK).path.tolist() == scores.argmax(-1).tolist()


def test_frames_lie_around_the_middle_of_what_they_hear() -> None:
    clock = FrameTiming.of(wav2vec2.architecture_of(Wav2Vec2Config(), Head()), 16_000)
    assert clock == pytest.approx((320 / 16_000, (400 - 320) / 2 / 16_000))
    flags = np.array([True, True, False, True])
    assert clock.stretches(flags) == [(clock.seconds(0), clock.seconds(2)), (clock.seconds(3), clock.seconds(4))]
    assert clock.stretches(np.zeros(3, np.bool_)) == []


def test_words_and_lines_by_hand() -> None:
    symbols = [Placed(symbol, number / 10, number / 10 + 0.05) for number, symbol in enumerate(" hi  you")]
    assert words(symbols) == [(0.1, 0.25, "hi"), (0.5, 0.75, "you")]
    assert words([]) == words(symbols[:1]) == []
    said = [Segment(0.0, 0.5, "one"), Segment(0.6, 0.9, "two"), Segment(2.0, 2.1, "three"), Segment(2.2, 2.4, "four")]
    assert cues(said) == [(0.0, 0.9, "one two"), (2.0, 2.4, "three four")]
    assert [cue.text for cue in cues(said, width=7, pause=9.0)] == ["one two", "three", "four"]


def hearing(symbols: str = " abc", **settings: Any) -> CTCRecognition:
    """A model with random weights that writes something."""
    torch.manual_seed(1)
    reader = SpeechReader(SpeechReaderConfig(**settings), Characters(symbols))
    config: dict[str, Any] = {
        "conv_widths": (16,) * 7, "hidden_size": 32, "num_layers": 1, "num_heads": 2, "intermediate_size": 64, "position_kernel": 8,
        "position_groups": 4,
    }  # fmt: skip
    model: Any = wav2vec2.build(Wav2Vec2Config(**config, **reader.model_config()), Head(task="ctc-speech-recognition"))
    with torch.no_grad():
        model.lm_head.weight.mul_(200)
    return CTCRecognition(CTCConfig(), TaskContext(model=model, preprocessor=reader, loss=ctc(NoConfig())))


@pytest.mark.parametrize("beams", [1, 4])
def test_words_lie_within_the_recording_and_in_order(beams: int) -> None:
    task = hearing()
    noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32) * np.linspace(0, 0.3, 24_000)
    inputs = [(noise.astype(np.float32)[:size], 16_000) for size in (24_000, 9_000)]
    answers = task.predict(inputs, CTCOptions(beams=beams, timestamps=True, format="vtt"))
    assert [answer["text"] for answer in task.predict(inputs, CTCOptions(beams=beams))] == [
        answer["text"] for answer in answers
    ]
    for (samples, rate), answer in zip(inputs, answers, strict=True):
        said = answer["segments"]
        assert " ".join(word["text"] for word in said) == " ".join(answer["text"].split()) != ""
        times = [time for word in said for time in (word["start"], word["end"])]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= len(samples) / rate
        assert all(word["end"] > word["start"] for word in said)
        assert isinstance(answer["file"], File) and answer["file"].data.startswith(b"WEBVTT")
    assert len(answers[0]["segments"]) > 2, "a model that writes no spaces would prove nothing"
    (plain,) = task.predict(inputs[:1], CTCOptions(beams=beams, format="json"))
    assert set(plain) == {"text", "file"} and plain["file"].data.count(b'"start"') == len(answers[0]["segments"])


@pytest.mark.parametrize("symbols", [" abc", "abcd"])
def test_long_recordings_are_read_piece_by_piece(symbols: str) -> None:
    task = hearing(symbols, max_seconds=1.0)
    sound = np.random.default_rng(2).standard_normal(50_000).astype(np.float32) * 0.1
    sound[12_500:15_000] = sound[26_000:28_500] = sound[39_000:41_500] = 0.0
    parts = split_at_silence(sound, 16_000)
    assert [len(part) for part in parts] == pytest.approx([14_000, 13_500, 13_000, 9_500], abs=20)
    assert np.array_equal(np.concatenate(parts), sound) and len(split_at_silence(sound, 50_000)) == 1
    assert len(split_at_silence(sound[:5], 1)) == 5, "a piece of one sample ends"
    options = CTCOptions(timestamps=True, plot=True, format="vtt")
    whole, short = task.predict([(sound, 16_000), (sound[:9_000], 16_000)], options)
    apart = task.predict([(part, 16_000) for part in parts], options)
    between = " " if " " in symbols else ""
    assert whole["text"] == between.join(answer["text"] for answer in apart) != ""
    assert short == task.predict([(sound[:9_000], 16_000)], options)[0]
    starts = np.cumsum([0, *map(len, parts)]) / 16_000
    shifted = [
        (start + word["start"], word["text"])
        for start, one in zip(starts, apart, strict=False)
        for word in one["segments"]
    ]
    assert [word["text"] for word in whole["segments"]] == [text for _, text in shifted]
    assert [word["start"] for word in whole["segments"]] == pytest.approx([start for start, _ in shifted], abs=2e-3)
    assert whole["plot"] == apart[0]["plot"]


def listening() -> Any:
    """A Whisper with random weights."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=40, hidden_size=32, encoder_layers=1, decoder_layers=3, num_heads=2, intermediate_size=64, max_frames=64,
        max_length=24, start_id=1, eos_id=0,
    )  # fmt: skip
    model = whisper.build(config, Head()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def test_attention_is_that_of_the_places_that_write_the_tokens() -> None:
    model = listening()
    features = torch.randn(80, 64, generator=torch.Generator().manual_seed(0))
    before = model.config._attn_implementation
    with inference_mode(model):
        found = cross_attention(model, features, [1, 2], [5, 6, 7])
        other_last = cross_attention(model, features, [1, 2], [5, 6, 30])
        other_first = cross_attention(model, features, [1, 2], [31, 6, 7])
        nothing = cross_attention(model, features, [1, 2], [])
    assert found.shape == (2 * 2, 3, 32)  # the upper two of three layers
    assert torch.allclose(found.sum(-1), torch.ones(4, 3), atol=1e-5)
    assert nothing.shape == (4, 0, 32)
    # A token is written before it is read.
    assert torch.allclose(found, other_last)
    assert torch.allclose(found[:, 0], other_first[:, 0]) and not torch.allclose(found[:, 1], other_first[:, 1])
    assert model.config._attn_implementation == before == "sdpa"
    with pytest.raises(IndexError):
        cross_attention(model, features, [1, 2], [5, 6, 7_000])
    assert model.config._attn_implementation == "sdpa", "restored after a failure"

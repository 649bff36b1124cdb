"""Whisper's transcripts that aren't to be trusted, silence, tails, shorter windows, and what is spoken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from speech_toys import tokenizer
from torch import nn
from zoo_speech.audio.audio import Waveform
from zoo_speech.configs.models import WhisperConfig, WhisperReaderConfig
from zoo_speech.configs.tasks import RecognitionConfig, RecognitionOptions, Thresholds
from zoo_speech.datasets.samples import Recording
from zoo_speech.decoding.fallback import compression_ratio, is_silent
from zoo_speech.decoding.long_form import LongFormTranscriber, rules_of
from zoo_speech.decoding.long_form import Recording as Heard
from zoo_speech.decoding.whisper import Rules, WhisperState, greedy, sample
from zoo_speech.models.whisper import build
from zoo_speech.preprocessor import WhisperReader
from zoo_speech.tasks.whisper_recognition import Recognition

from zoo_core import UnknownName, UsageError
from zoo_core.contract import At, Head, SampleKey, TaskContext, inference_mode
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig

SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|nospeech|>"),
    "<|notimestamps|>",
)
EOS, START, EN, DE, TRANSCRIBE, NOBODY, NO_TIMES = range(256, 263)
TIME = 263
FRAMES, MOST = 100, 100
SECONDS = FRAMES / 100
ONLY_ONCE = {"temperatures": (0.0,)}
MULTILINGUAL = {"multilingual": True, "prompt": ("<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>")}


def model_of(frames: int = FRAMES, **scores: float) -> nn.Module:
    """A random model that scores tokens as it is told, by names: `a`, `b`, `end`, `nobody`, `time`; `german` and so on."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=TIME + FRAMES // 2 + 1, hidden_size=32, encoder_layers=1, decoder_layers=1, num_heads=2, intermediate_size=64,
        max_frames=frames, max_length=MOST, start_id=START, eos_id=EOS,
    )  # fmt: skip
    model: Any = build(config, Head()).eval()
    letters = tokenizer(SPECIAL)
    tokens = {"end": EOS, "nobody": NOBODY, "german": DE, "english": EN, "time": slice(TIME, None)}
    tokens |= {letter: letters.token_to_id(letter) for letter in "abc"}
    with torch.no_grad():
        norm = model.model.decoder.layer_norm
        norm.weight[0], norm.bias[0] = 0.0, 10.0
        model.proj_out.weight[:, 0] = 0.0
        for name, score in scores.items():
            model.proj_out.weight[tokens[name]] = 0.0
            model.proj_out.weight[tokens[name], 0] = score / 10.0
    return model  # type: ignore[no-any-return]


def task_of(model: nn.Module, *, reader: dict[str, Any] | None = None, **config: Any) -> Recognition:
    settings = WhisperReaderConfig(**{"max_seconds": SECONDS, **(reader or {})})
    loss = cross_entropy(CrossEntropyConfig())
    context = TaskContext(model=model, preprocessor=WhisperReader(settings, tokenizer(SPECIAL)), loss=loss)
    return Recognition(RecognitionConfig(**config), context)


def noise(seconds: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))).astype(np.float32)


def answered(task: Recognition, inputs: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    return task.predict(inputs, RecognitionOptions(**options))


# ---- thresholds


def test_a_text_that_repeats_itself_is_drawn_again() -> None:
    """`a` is always the likeliest, though not by far: drawn, a text soon has other letters and an end."""
    task = task_of(model_of(a=9.0, b=8.5, c=8.0, end=6.5))
    once = answered(task, [noise(0.8)], **ONLY_ONCE)[0]["text"]
    assert once == "a" * len(once) and compression_ratio(once) > 2.4 and len(once) > 60
    again = answered(task, [noise(0.8)])[0]["text"]
    assert again != once and compression_ratio(again) <= 2.4
    assert answered(task, [noise(0.8)], compression_ratio=1000.0, log_probability=-99.0)[0]["text"] == once


def test_draws_are_keyed_by_the_sound_and_not_by_its_neighbours() -> None:
    task = task_of(model_of(a=9.0, b=8.5, c=8.0, end=6.5))
    sounds = [noise(0.8, seed) for seed in range(3)]
    together = [answer["text"] for answer in answered(task, sounds)]
    assert [answered(task, [sound])[0]["text"] for sound in reversed(sounds)] == together[::-1]
    assert len(set(together)) > 1


def test_what_is_drawn_follows_the_softmax() -> None:
    model = model_of(a=3.0, b=2.0, end=-9.0)
    with torch.no_grad():
        heard = WhisperState(model, torch.randn(1, 80, FRAMES))
        suppressed = tuple(number for number in range(TIME + 51) if number not in (64, 65))
        rules, prompt = Rules(eos_id=EOS, suppressed=suppressed), torch.tensor([[START, NO_TIMES]])
        draws = [torch.Generator().manual_seed(3)]
        found = sample(heard, prompt, rules, 90, temperature=2.0, draws=draws)[0]
        best = greedy(WhisperState(model, torch.randn(1, 80, FRAMES)), prompt, rules, 5)[0]
    difference = 1.0 / 2.0  # of the two scores, by the temperature
    share = found.tokens.count(best.tokens[0]) / 90
    assert share == pytest.approx(1 / (1 + np.exp(-difference)), abs=0.15)
    mean = share * np.log(1 / (1 + np.exp(-1))) + (1 - share) * np.log(1 / (1 + np.exp(1)))
    assert found.mean == pytest.approx(mean, abs=0.02)  # probabilities are the model's own, whatever the temperature


def test_an_unlikely_text_is_drawn_again_and_the_best_is_kept() -> None:
    task = task_of(model_of(a=6.0, b=5.9, end=5.9))  # below -1, as all others are together likelier
    texts = {answered(task, [noise(0.8)], temperatures=(at,))[0]["text"] for at in (0.0, 0.5, 1.0)}
    assert len(texts) > 1
    found = answered(task, [noise(0.8)], temperatures=(0.0, 0.5, 1.0), compression_ratio=100.0)[0]["text"]
    assert found in texts


def test_silence_is_what_the_model_calls_so_while_it_is_unsure() -> None:
    for scores, options, text in (
        ({"nobody": 9.0, "a": 4.0, "end": 4.0}, {}, False),
        ({"nobody": 9.0, "a": 4.0, "end": 4.0}, {"no_speech": 1.0}, True),
        ({"nobody": 9.0, "a": 4.0, "end": 4.0}, {"log_probability": -99.0, "compression_ratio": 99.0}, True),
        ({"nobody": -9.0, "a": 4.0, "end": 4.0}, {}, True),
    ):
        task = task_of(model_of(**scores), reader={"suppressed": (NOBODY, EOS), "suppressed_first": ()})
        answer = answered(task, [noise(0.8)], **options)[0]
        assert bool(answer["text"]) is text
        assert ("no_speech" in answer) is not text and answer.get("no_speech", 1.0) > 0.9


def test_an_evaluation_writes_as_predictions_do() -> None:
    model = model_of(a=9.0, b=8.5, c=8.0, end=6.5)
    sounds = [noise(0.8, 1), np.zeros(8_000, np.float32), noise(0.5, 2)]
    samples = [Recording(Waveform(sound, 16_000), text="abc") for sound in sounds]
    for settings in ({}, ONLY_ONCE):
        task = task_of(model, decoding=Thresholds(**settings))
        dataset = task.dataset(samples, train=False)
        batch = dataset.collate([dataset.sample(SampleKey(0, 0, index)) for index in range(3)])
        with inference_mode(task.model):
            found = task.evaluate(task.modules(), batch, At()).found
        assert found == [answer["text"] for answer in answered(task, samples, **settings)] and found[1] == ""


def test_thresholds_out_of_range_are_refused() -> None:
    for wrong in (
        {"temperatures": ()},
        {"temperatures": (0.2, 0.1)},
        {"temperatures": (-0.1,)},
        {"temperatures": (0.0, float("nan"))},
        {"no_speech": 1.5},
        {"log_probability": 0.5},
        {"compression_ratio": 0.0},
    ):
        for settings in (Thresholds, RecognitionOptions):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                settings(**wrong)  # type: ignore[arg-type]


# ---- silence and tails


def test_digital_silence_is_not_decoded() -> None:
    task = task_of(model_of(a=9.0, end=0.0))

    def refuse(*_: Any) -> None:
        raise AssertionError("the model was asked")

    handle = task.model.register_forward_pre_hook(refuse)
    steps = (np.arange(24_000) % 3 - 1).astype(np.float32) / 32_768
    for silence in (np.zeros(8_000, np.float32), steps):
        assert answered(task, [silence]) == [{"text": "", "segments": [], "no_speech": 1.0}]
    handle.remove()
    both = answered(task, [np.zeros(8_000, np.float32), noise(0.5)], **ONLY_ONCE)
    assert both[0]["text"] == "" and both[1]["text"].startswith("aa")
    assert is_silent(np.zeros(0, np.float32)) and not is_silent(np.full(9, -1e-3, np.float32))


def test_a_tail_that_no_word_fits_into_is_not_read_and_no_cut_leaves_one() -> None:
    """In windows of one second a tail has less than 50 ms; of a Whisper's 30 seconds less than half a second."""
    task = task_of(model_of(a=9.0, end=8.0, time=-99.0))
    for seconds, starts in ((0.03, 1), (1.04, 2), (1.5, 2), (3.02, 4)):
        segments = answered(task, [noise(seconds)], **ONLY_ONCE)[0]["segments"]
        assert len(segments) == starts, seconds
        assert all(one["end"] - one["start"] >= 0.05 for one in segments[1:])
        assert segments[-1]["end"] == pytest.approx(seconds, abs=1e-3)
    recording = Heard(noise(30.4))
    recording.take([], 30 * 16_000, 16_000)
    assert not recording.unread
    recording = Heard(noise(0.4))
    assert recording.unread, "a whole recording is no tail"


# ---- windows that are shorter than those of the checkpoint


def spoken_and_quiet(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise that is silent for a tenth of a second behind each twentieth of one."""
    sound = noise(seconds)
    for start in range(800, len(sound), 2_400):
        sound[start : start + 1_600] = 0.0
    return sound


def test_nothing_is_said_behind_the_end_of_a_window() -> None:
    model, reader = model_of(frames=40, time=5.0), task_of(model_of()).preprocessor
    assert rules_of(model, reader, TIME).last_timestamp == TIME + 20
    rules = rules_of(model, reader, TIME)
    flat = torch.zeros(1, TIME + 51)
    for written, least in (([], 0), ([TIME, 5], 1), ([TIME, 5, TIME + 20], 20)):
        scores = rules(flat, torch.tensor([written], dtype=torch.long).reshape(1, -1))
        stamps = set((scores[0, TIME:].isfinite().nonzero()[:, 0]).tolist())
        assert stamps == set(range(least, 21)), written


@pytest.mark.parametrize("wanted", [False, True])
def test_a_shorter_window_is_cut_where_it_is_quiet_and_read_to_its_end(wanted: bool) -> None:
    """The model hears 0.6 s at once, and its reader says that it learned its times with one second."""
    model = model_of(frames=60, a=9.0, time=3.0 if wanted else 8.0, end=8.9)
    task, sound = task_of(model), spoken_and_quiet(3.0)
    with torch.no_grad():
        options = RecognitionOptions(timestamps=wanted, **ONLY_ONCE)  # type: ignore[arg-type]
        read = LongFormTranscriber(task.model, task.preprocessor, options).read([sound], together=2)[0]
    assert read.place == len(sound)
    ends = [one.end for one in read.stretches]
    assert all(one.end > one.start for one in read.stretches)
    if not wanted:  # so that no word is cut through; with times, segments may end before their piece does
        assert [one.start for one in read.stretches] == pytest.approx([0.0, *ends[:-1]]) and ends[-1] == pytest.approx(
            3.0
        )
        assert sum(sound[round(end * 16_000) - 1] == 0 for end in ends[:-1]) == len(ends) - 1 > 3, ends


def test_what_is_trained_without_times_is_read_without_them() -> None:
    model = model_of(a=9.0, time=8.0, end=8.9)  # all times together are likelier than any letter
    task, sound = task_of(model), spoken_and_quiet(2.8)
    settings = json.loads(task.preprocessor.files()["speech.json"])
    task.dataset([Recording(Waveform(noise(0.5), 16_000), text="a")], train=False)
    assert settings["timestamps"] is True and task.preprocessor.config.timestamps
    task.dataset([Recording(Waveform(noise(0.5), 16_000), text="a")], train=True)
    kept = WhisperReader.from_files(task.preprocessor.files())
    assert not kept.config.timestamps
    for options in ({}, {"timestamps": True}, {"format": "srt"}):
        with torch.no_grad():
            read = LongFormTranscriber(model, kept, RecognitionOptions(**options, **ONLY_ONCE)).read(
                [sound], together=2
            )[0]  # type: ignore[arg-type]
        assert read.place == len(sound) and all(one.end > one.start for one in read.stretches)
        assert all(token < TIME for one in read.stretches for token in one.tokens)
    older = {
        **kept.files(),
        "speech.json": json.dumps({k: v for k, v in settings.items() if k != "timestamps"}).encode(),
    }
    assert WhisperReader.from_files(older).config.timestamps, (
        "readers that were written before had not been trained here"
    )


# ---- languages


def test_a_language_is_asked_for_by_name_and_shown_by_both() -> None:
    task = task_of(model_of(a=9.0, end=8.9, german=5.0), reader=MULTILINGUAL)
    for language in ("de", "German", "german", "DE", "de-AT"):
        answer = answered(task, [noise(0.5)], language=language, **ONLY_ONCE)[0]
        assert (answer["language"], answer["language_name"]) == ("de", "German")
        assert "language_probability" not in answer
    found = answered(task, [noise(0.5)], **ONLY_ONCE)[0]
    assert found["language"] == "de" and found["language_probability"] == pytest.approx(1 / (1 + np.exp(-5)), abs=0.01)
    with pytest.raises(UnknownName, match="unknown language 'Klingon'"):
        answered(task, [noise(0.5)], language="Klingon")
    with pytest.raises(UsageError, match="one language only"):
        answered(task_of(model_of(a=9.0)), [noise(0.5)], language="German")


def test_no_language_is_named_where_nobody_speaks() -> None:
    task = task_of(model_of(nobody=9.0, a=4.0, end=4.0), reader={**MULTILINGUAL, "suppressed": (NOBODY, EOS)})
    for sound in (noise(0.5), np.zeros(8_000, np.float32)):
        answer = answered(task, [sound])[0]
        assert set(answer) == {"text", "segments", "no_speech"} and answer["no_speech"] > 0.9


def test_a_sample_may_name_its_language() -> None:
    task = task_of(model_of(), reader=MULTILINGUAL)
    samples = [Recording(Waveform(noise(0.5), 16_000), text="a", language=name) for name in ("German", "en_US")]
    dataset = task.dataset(samples, train=True)
    assert [prompt[1] for prompt, _ in dataset.targets] == [DE, EN]

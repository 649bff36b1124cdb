"""Plots show what they are given, whatever it is; previews are functions of their keys and can be heard."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import image
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from zoo_speech.audio.audio import Waveform, read_audio
from zoo_speech.audio.timed import Placed, Track, View
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig
from zoo_speech.configs.losses import Wav2Vec2ContrastiveConfig
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig, WhisperReaderConfig
from zoo_speech.configs.tasks import (
    AudioClassificationConfig,
    AudioClassificationOptions,
    CTCConfig,
    CTCOptions,
    RecognitionConfig,
    RecognitionOptions,
    Wav2Vec2PretrainingConfig,
)
from zoo_speech.datasets.samples import Recording
from zoo_speech.decoding.alignment import FrameTiming, align
from zoo_speech.decoding.long_form import Recording as Heard
from zoo_speech.decoding.whisper import Stretch
from zoo_speech.evaluation.transcripts import Characters
from zoo_speech.losses import ctc, wav2vec2_contrastive
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.preprocessor import SpeechReader, WhisperReader
from zoo_speech.tasks.audio_classification import AudioClassification
from zoo_speech.tasks.ctc_recognition import CTCRecognition
from zoo_speech.tasks.wav2vec2_pretraining import Wav2Vec2Pretraining
from zoo_speech.tasks.whisper_recognition import Recognition
from zoo_speech.visualization import plots
from zoo_speech.visualization.plots import attention, recordings, side_by_side

from zoo_core import DataError
from zoo_core.contract import At, File, Head, NoConfig, SampleKey, TaskContext, inference_mode
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig, gathered

WIDTH = 1155
LEFT, ROOM = 0.95 / 10.5, 9.3 / 10.5
"""Where the time axis begins and how long it is, in widths of the plot."""


def decoded(data: bytes) -> NDArray[np.float32]:
    """(H, W, 3) from 0 to 1."""
    pixels = np.asarray(image.imread(io.BytesIO(data), format="png"))[:, :, :3]
    assert pixels.shape[1] == WIDTH and 150 < pixels.shape[0] < 4_000
    return pixels


def same(one: bytes, other: bytes) -> bool:
    first, second = decoded(one), decoded(other)
    return first.shape == second.shape and bool((first == second).all())


def noise(seconds: float, seed: int = 0, scale: float = 0.1) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))).astype(np.float32)


def view(seconds: float = 1.0, seed: int = 0, **fields: Any) -> View:
    return View(samples=noise(seconds, seed), rate=16_000, **fields)


def spelled(text: str, seconds: float) -> list[Placed]:
    """Characters spread evenly over a time."""
    step = seconds / max(1, len(text))
    return [Placed(one, number * step, number * step + step / 2) for number, one in enumerate(text)]


# ------------------------------------------------------------------------------------------------------ drawing


def test_recordings_stand_below_each_other() -> None:
    heights = [decoded(recordings([view(seed=seed) for seed in range(count)])).shape[0] for count in (1, 4, 5)]
    assert heights[1] == pytest.approx(4 * heights[0], abs=4) and heights[1] == heights[2]
    assert recordings([view()]) == recordings([view()])
    assert not same(recordings([view(seed=1)]), recordings([view(seed=2)]))
    with pytest.raises(DataError, match="no recordings"):
        recordings([])
    with pytest.raises(DataError, match="no recordings"):
        recordings([View(samples=noise(0), rate=16_000)])


def test_the_plot_does_not_depend_on_the_users_settings() -> None:
    expected = recordings([view(title="a")])
    with matplotlib.rc_context({"axes.facecolor": "red", "image.cmap": "gray", "xtick.bottom": False}):
        assert same(recordings([view(title="a")]), expected)
        assert matplotlib.rcParams["axes.facecolor"] == "red"


def test_a_sound_is_bright_where_and_when_it_is() -> None:
    """A tone of 1 kHz in the second half, at whatever rate."""
    for rate in (8_000, 16_000):
        time = np.arange(2 * rate) / rate
        tone = (np.sin(2 * np.pi * 1_000 * time) * (time > 1)).astype(np.float32)
        pixels = decoded(recordings([View(samples=tone, rate=rate)]))
        glow = (pixels[:, :, 0] > 0.9) & (pixels[:, :, 2] < 0.8) & (pixels[:, :, 1] < 0.99)
        rows, columns = glow.nonzero()
        assert len(rows) > 500
        assert columns.min() / WIDTH > LEFT + 0.49 * ROOM and columns.max() / WIDTH < LEFT + ROOM + 0.01
        assert np.ptp(rows) < 30, "one frequency"


def test_what_is_hidden_is_shaded() -> None:
    plain = decoded(recordings([view(2.0)]))
    shaded = decoded(recordings([view(2.0, hidden=[(0.5, 1.0)])]))
    rows, columns = (np.flatnonzero((plain != shaded).any((axis, 2))) for axis in (1, 0))
    columns = columns / WIDTH
    assert len(rows) > 0.95 * (0.5 + 1.2) * 110, "both the waveform and the spectrogram"
    assert columns.min() == pytest.approx(LEFT + ROOM / 4, abs=0.005)
    assert columns.max() == pytest.approx(LEFT + ROOM / 2, abs=0.005)


def test_long_recordings_show_their_beginning() -> None:
    long = noise(40.0) * (np.arange(640_000) % 320_000 < 32_000)
    other = np.concatenate([long[: 30 * 16_000], noise(10.0, 5)])
    lanes = [Track("heard", spelled("ab cd " * 8, 40.0))]
    first, second = (recordings([View(samples=one, rate=16_000, lanes=lanes)]) for one in (long, other))
    assert same(first, second)
    cut = View(samples=long[: 30 * 16_000], rate=16_000, title="the first 30 of 40 s: ", lanes=lanes)
    kept = [Track("heard", [one for one in lanes[0].symbols if one.end <= 30])]
    assert same(first, recordings([View(samples=cut.samples, rate=16_000, title=cut.title, lanes=kept)]))


def test_many_characters_become_words_in_rows_as_they_need() -> None:
    def height(text: str) -> int:
        return int(decoded(recordings([view(0.3, lanes=[Track("heard", spelled(text, 0.3))])])).shape[0])

    short, full, fuller = height("ab cd"), height("words " * 40), height("words " * 120)
    assert height("") == short == height("abcde " * 8) < full < fuller
    # Words stand where they are from beginning to end, wherever the characters between are.
    for count, alike in ((8, False), (60, True)):
        symbols = spelled("abc " * count, 0.3)
        moved = [Placed(one.symbol, one.start + 0.001 * (one.symbol == "b"), one.end) for one in symbols]
        drawn = [recordings([view(0.3, lanes=[Track("heard", lane)])]) for lane in (symbols, moved)]
        assert same(*drawn) == alike


def test_a_path_is_shown_where_it_is() -> None:
    scores = torch.full((100, 3), 1e-4)
    scores[:, 0] = 1.0
    scores[50] = torch.tensor([1e-4, 1.0, 1e-4])
    found = align(scores.log(), "a", Characters(["a", "b"]), FrameTiming(0.02, 0.0))
    lanes = [Track("heard", found.symbols)]
    without, drawn = (decoded(recordings([view(2.0, lanes=lanes, path=path)])) for path in (None, found))
    part = drawn[without.shape[0] // 2 :]
    blue = np.abs(part - np.array([0x1F, 0x5F, 0x99]) / 255).max(2) < 0.01
    columns = blue.nonzero()[1] / WIDTH
    assert columns.mean() == pytest.approx(LEFT + ROOM * 50.5 / 100, abs=0.005)
    assert np.ptp(columns) < 0.02 and drawn.shape[0] > without.shape[0] + 40


@pytest.mark.parametrize("text", ["", "日本 $x_$ \n\t", "\\frac{1}{2} ~ ^", "é" * 2_000])
def test_any_text_can_be_drawn(text: str) -> None:
    decoded(recordings([view(title=text, lanes=[Track("heard", spelled(text[:90], 1.0))])]))
    decoded(attention(np.zeros((80, 100)), np.ones((1, 50)), [text], seconds=1.0, title=text))


def test_titles_end_before_the_plot_does() -> None:
    for text in ("m" * 300, "il " * 200, "To mute or unmute yourself " * 9):
        pixels = decoded(recordings([view(title=text)]))
        assert (pixels[:40, round((LEFT + ROOM + 0.001) * WIDTH) :] > 0.99).all()
        assert (pixels[:60, round((LEFT + ROOM - 0.05) * WIDTH) :] < 0.5).any(), "as much of it as there is room for"


def test_silence_and_a_single_sample() -> None:
    for samples in (np.zeros(16_000, np.float32), np.zeros(1, np.float32), np.ones(1, np.float32)):
        decoded(recordings([View(samples=samples, rate=16_000)]))


def test_nothing_overlaps_and_nothing_is_moved_without_need() -> None:
    wanted = np.array([0.1, 1.0, 1.01, 1.02, 5.0, 9.99])
    widths = np.array([0.5, 0.2, 0.4, 0.2, 0.1, 0.3])
    found = side_by_side(wanted, widths, 10.0)
    gaps = np.diff(found) - (widths[1:] + widths[:-1]) / 2
    assert (gaps > -1e-9).all() and found[0] - 0.25 >= 0 and found[-1] + 0.15 <= 10 + 1e-9
    assert found[4] == pytest.approx(5.0) and found[2] == pytest.approx(1.01, abs=0.01)
    assert not len(side_by_side(np.zeros(0), np.zeros(0), 1.0))


def test_attention_is_dark_where_it_is() -> None:
    weights = np.full((3, 500), 1e-3)
    weights[1, 100] = 0.9  # at 2.01 s
    weights[0, 10] = weights[2, 190] = 0.5
    spectrogram = np.random.default_rng(0).random((80, 1_000))
    pixels = decoded(attention(spectrogram, weights, ["one", "two", "three"], seconds=4.0, title="one two three"))
    dark = np.abs(pixels - np.array([0x08, 0x30, 0x6B]) / 255).max(2) < 0.02
    columns, rows = (places / WIDTH for places in dark.nonzero()[::-1])
    for place, second in enumerate((0.21, 2.01, 3.81)):
        near = np.abs(columns - (LEFT + ROOM * second / 4)) < 0.01
        assert near.any() and abs(rows[near].mean() - rows.mean() - (place - 1) * 0.16 / 10.5) < 0.01
    most = plots.MOST_TOKENS
    many = [attention(spectrogram, np.ones((count, 500)), ["x"] * count, seconds=4.0) for count in (most, most + 9)]
    assert decoded(many[0]).shape == decoded(many[1]).shape
    decoded(attention(spectrogram, np.zeros((0, 500)), [], seconds=4.0))
    with pytest.raises(DataError, match="each of 2 tokens"):
        attention(spectrogram, weights, ["one", "two"], seconds=4.0)


# ------------------------------------------------------------------------------------------------------ tasks

SMALL: dict[str, Any] = {
    "conv_widths": (16,) * 7, "hidden_size": 32, "num_layers": 1, "num_heads": 2, "intermediate_size": 64, "position_kernel": 8,
    "position_groups": 4, "codes": 8, "code_size": 8,
}  # fmt: skip
TEXTS = ("hello world", "ab", "who is it", "an other", "the last")
SPOKEN = [Recording(Waveform(noise(0.6 + 0.1 * n, n), 16_000), text=text) for n, text in enumerate(TEXTS)]
LABELLED = [Recording(sample.source, label="ab"[n % 2]) for n, sample in enumerate(SPOKEN)]
AUGMENT = WaveAugmentConfig(noise=1.0)


def context(task: str, *, labels: tuple[str, ...] = (), loss: Any = None, text: Any = "characters") -> TaskContext:
    torch.manual_seed(0)
    reader = SpeechReader.fit(SpeechReaderConfig(text=text), SPOKEN)
    model = wav2vec2.build(Wav2Vec2Config(**{**SMALL, **reader.model_config()}), Head(task=task, labels=len(labels)))
    return TaskContext(model=model, preprocessor=reader, labels=labels, loss=loss)


def recognition(**config: Any) -> CTCRecognition:
    return CTCRecognition(CTCConfig(**config), context("ctc-speech-recognition", loss=ctc(NoConfig())))


def pretraining(**config: Any) -> Wav2Vec2Pretraining:
    loss = wav2vec2_contrastive(Wav2Vec2ContrastiveConfig())
    made = context("wav2vec2-pretraining", loss=loss, text="none")
    return Wav2Vec2Pretraining(Wav2Vec2PretrainingConfig(distractors=5, **config), made)


def classification(**config: Any) -> AudioClassification:
    loss = cross_entropy(CrossEntropyConfig())
    made = context("audio-classification", labels=("a", "b"), loss=loss, text="none")
    return AudioClassification(AudioClassificationConfig(crop_seconds=0.7, **config), made)


SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")


def writing(**config: Any) -> Recognition:
    """A Whisper that hears 1.6 s at once and writes whatever its random weights say."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: number for number, character in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    torch.manual_seed(0)
    architecture = WhisperConfig(
        vocab_size=259, hidden_size=32, encoder_layers=1, decoder_layers=2, num_heads=2, intermediate_size=64, max_frames=160,
        max_length=24, start_id=257, eos_id=256,
    )  # fmt: skip
    model = whisper.build(architecture, Head())
    prompt = ("<|startoftranscript|>", "<|notimestamps|>")
    reader = WhisperReader(WhisperReaderConfig(max_seconds=1.6, prompt=prompt), made)
    loss = cross_entropy(CrossEntropyConfig())
    return Recognition(RecognitionConfig(**config), TaskContext(model=model, preprocessor=reader, loss=loss))


MAKERS: Mapping[str, Any] = {
    "ctc": lambda **config: (recognition(**config), SPOKEN),
    "wav2vec2": lambda **config: (pretraining(**config), SPOKEN),
    "classes": lambda **config: (classification(**config), LABELLED),
    "whisper": lambda **config: (writing(**config), SPOKEN),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_preview_is_what_the_model_is_given(kind: str) -> None:
    task, samples = MAKERS[kind](augment=AUGMENT)
    dataset = task.dataset(samples, train=True)
    once, again = (task.input_artifacts(dataset) for _ in range(2))
    assert once == again and list(once) == ["heard.png", *(f"heard_{number}.wav" for number in range(1, 5))]
    for number, index in enumerate((0, 1, 2, 3), start=1):
        key = SampleKey(0, 0, index)
        given = dataset.waveform(index, key.generator()) if kind == "whisper" else dataset.sample(key)[0]
        heard, rate = read_audio(once[f"heard_{number}.wav"])
        assert rate == 16_000 and np.abs(heard).max() == pytest.approx(0.9, abs=1e-3)
        assert np.allclose(heard / 0.9, given / np.abs(given).max(), atol=1e-4)
    plain, samples = MAKERS[kind]()
    others = plain.input_artifacts(plain.dataset(samples, train=True))
    assert others["heard_1.wav"] != once["heard_1.wav"] and not same(others["heard.png"], once["heard.png"])


def test_a_preview_of_few_recordings_or_silent_ones() -> None:
    task = recognition()
    quiet = Recording(Waveform(np.zeros(16_000, np.float32), 16_000), text="ab")
    files = task.input_artifacts(task.dataset([quiet], train=True))
    assert set(files) == {"heard.png", "heard_1.wav"}
    assert not read_audio(files["heard_1.wav"]).samples.any()


def test_masks_are_seen_in_the_preview() -> None:
    task, hiding = recognition(), recognition(mask_probability=0.1, mask_length=5)
    shown, shaded = (one.input_artifacts(one.dataset(SPOKEN[:1], train=True)) for one in (task, hiding))
    assert shown["heard_1.wav"] == shaded["heard_1.wav"] and not same(shown["heard.png"], shaded["heard.png"])
    spectra = [
        one.input_artifacts(one.dataset(SPOKEN[:1], train=True))
        for one in (writing(), writing(spec_augment=SpecAugmentConfig(time_masks=2, time_share=0.5)))
    ]
    assert spectra[0]["heard_1.wav"] == spectra[1]["heard_1.wav"]
    assert not same(spectra[0]["heard.png"], spectra[1]["heard.png"])


def evaluated(task: Any, *batches: list[int]) -> dict[str, bytes]:
    """Artifacts of an evaluation of `SPOKEN` in these batches."""
    dataset = task.dataset(SPOKEN, train=False)
    drawn = [dataset.collate([dataset.sample(SampleKey(0, 0, index)) for index in batch]) for batch in batches]
    with inference_mode(task.model):
        files: dict[str, bytes] = task.artifacts(
            {}, gathered(task.evaluate(task.modules(), batch, At()) for batch in drawn)
        )
    return files


def test_an_evaluation_by_frames_shows_alignments() -> None:
    task = recognition()
    whole = evaluated(task, [0, 1], [2, 3, 4])
    assert set(whole) == {"transcripts.txt", "alignment.png"}
    single = decoded(evaluated(task, [0])["alignment.png"])
    assert decoded(whole["alignment.png"]).shape[0] > 3.5 * single.shape[0]
    assert "alignment.png" not in evaluated(task, [4])
    short = Recording(Waveform(noise(0.1), 16_000), text="hello world")  # four frames
    dataset = task.dataset([short], train=False)
    with inference_mode(task.model):
        result = task.evaluate(task.modules(), dataset.collate([dataset.sample(SampleKey(0, 0, 0))]), At())
    assert decoded(task.artifacts({}, result)["alignment.png"]).shape[0] < decoded(whole["alignment.png"]).shape[0]


def test_an_evaluation_of_a_decoder_shows_one_recording() -> None:
    task = writing(generate_samples=2)
    files = evaluated(task, [0, 1], [2, 3, 4])
    assert set(files) == {"transcripts.txt", "attention.png"}
    assert same(files["attention.png"], evaluated(task, [0])["attention.png"])
    (answer,) = task.predict(SPOKEN[:1], RecognitionOptions(plot=True))
    assert same(files["attention.png"], answer["plot"].data)
    assert "attention.png" not in evaluated(task, [4])
    assert task.model.config._attn_implementation == "sdpa"


def test_answers_come_with_plots() -> None:
    inputs = [(noise(seconds, 3), 16_000) for seconds in (1.0, 0.5)]
    cases: list[tuple[Any, Any, Any]] = [
        (recognition(), CTCOptions(plot=True), CTCOptions()),
        (classification(), AudioClassificationOptions(plot=True), AudioClassificationOptions()),
        (writing(), RecognitionOptions(plot=True), RecognitionOptions()),
    ]
    for task, with_plot, without in cases:
        answers, plain = task.predict(inputs, with_plot), task.predict(inputs, without)
        files = [answer.pop("plot") for answer in answers]
        assert answers == plain and all(isinstance(file, File) and file.suffix == ".png" for file in files)
        assert not same(files[0].data, files[1].data)


def test_the_first_window_of_a_long_recording_is_shown() -> None:
    task, long = writing(), noise(4.0, 3)
    first, second = task.predict([(long, 16_000), (long[: 16_000 * 3], 16_000)], RecognitionOptions(plot=True))
    assert same(first["plot"].data, second["plot"].data)
    recording = Heard(long)
    recording.stretches = [Stretch(0.0, 1.5, [1, 2]), Stretch(1.5, 2.5, [3]), Stretch(2.5, 4.0, [4])]
    shown = task._first_window(recording)
    assert shown.tokens == [1, 2] and shown.seconds == 1.6 and shown.prompt == [257, 258]

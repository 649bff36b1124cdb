"""Encoders of both families under one set of tasks: neighbours change no answer, and logits are those of Transformers."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speech_toys import SMALL, WINDOW, export_of, import_of, logits_of, noise, scaled, tone, whisper_reader
from transformers import AutoModelForAudioClassification
from transformers.models.whisper.configuration_whisper import WhisperConfig as TheirConfig
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperForAudioClassification
from zoo_speech.audio.audio import Waveform, read_audio
from zoo_speech.configs.losses import AdditiveAngularMarginConfig
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig
from zoo_speech.configs.tasks import (
    AudioClassificationConfig,
    AudioClassificationOptions,
    EmbeddingOptions,
    SpeakerVerificationConfig,
    SpeakerVerificationOptions,
)
from zoo_speech.datasets.samples import Recording
from zoo_speech.interop.whisper import WhisperInterop
from zoo_speech.losses import additive_angular_margin
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.models.encoders import encoder_of
from zoo_speech.models.speakers import statistics
from zoo_speech.preprocessor import SpeechPreprocessor, SpeechReader
from zoo_speech.tasks.audio_classification import AudioClassification
from zoo_speech.tasks.common import EncoderTask, cover_with_chunks
from zoo_speech.tasks.feature_extraction import FeatureExtraction
from zoo_speech.tasks.speaker_verification import SpeakerVerification
from zoo_transformers import checkpoint_activations

from zoo_core import CorruptFile, DataError, UsageError, load, open_zoo
from zoo_core.contract import At, File, ForeignCheckpoint, Head, SampleKey, TaskContext
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig

WAVEFORMS: dict[str, Any] = {
    "conv_widths": (8,) * 7, "hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32, "position_kernel": 8,
    "position_groups": 4, "dropout": 0.0, "attention_dropout": 0.0, "embedding_size": 12,
}  # fmt: skip
LABELS = ("high", "low", "middle")
NAME = "whisper_tiny_en.tones"
CLASSES, VOICES, FEATURES = "audio-classification", "speaker-verification", "speech-feature-extraction"


def made(family: str, task: str) -> TaskContext:
    """A model of the family with random weights under a task's head, and what reads for it."""
    torch.manual_seed(0)
    head = Head(task=task, labels=3 if task == CLASSES else 0)
    reader: SpeechPreprocessor
    if family == "whisper":
        model, reader = whisper.build(WhisperConfig(**SMALL), head), whisper_reader()
    else:
        model = wav2vec2.build(Wav2Vec2Config(**WAVEFORMS), head)
        reader = SpeechReader(SpeechReaderConfig(text="none", max_seconds=WINDOW), None)
    loss = (
        cross_entropy(CrossEntropyConfig())
        if task == CLASSES
        else additive_angular_margin(AdditiveAngularMarginConfig())
    )
    return TaskContext(model=scaled(model), preprocessor=reader, loss=loss, labels=LABELS)


def task_of(family: str, name: str) -> Any:
    context = made(family, name)
    if name == CLASSES:
        return AudioClassification(AudioClassificationConfig(crop_seconds=1.5), context)
    if name == VOICES:
        return SpeakerVerification(SpeakerVerificationConfig(heard_seconds=1.8), context)
    return FeatureExtraction(None, context)


OPTIONS: dict[str, Any] = {
    CLASSES: AudioClassificationOptions(top_k=3),
    VOICES: SpeakerVerificationOptions(normalize=False),
    FEATURES: EmbeddingOptions(normalize=False),
}


# ---- neighbours


@pytest.mark.parametrize("family", ["whisper", "wav2vec2"])
@pytest.mark.parametrize("name", list(OPTIONS))
def test_neighbours_change_no_answer(family: str, name: str) -> None:
    task = task_of(family, name)
    sounds = [noise(seconds, seed) for seed, seconds in enumerate((0.3, 1.7, 0.0, 1.0, 2.0))]
    together = task.predict(sounds, OPTIONS[name])
    key = "scores" if name == CLASSES else "embedding"
    for sound, answer in zip(sounds, together, strict=True):
        (alone,) = task.predict([sound], OPTIONS[name])
        assert answer[key] == pytest.approx(alone[key], abs=1e-5)
    answers = [np.array(list(one[key].values()) if name == CLASSES else one[key]) for one in together]
    assert min(np.abs(one - other).max() for one, other in pairwise(answers)) > 1e-4


@pytest.mark.parametrize("family", ["whisper", "wav2vec2"])
def test_no_more_of_a_voice_is_heard_than_the_task_says(family: str) -> None:
    task, sound = task_of(family, VOICES), noise(2.0, 6)
    whole, beginning, less = task.predict([sound, sound[: round(16_000 * 1.8)], sound[:16_000]], OPTIONS[VOICES])
    assert whole["embedding"] == pytest.approx(beginning["embedding"], abs=1e-5)
    assert whole["embedding"] != pytest.approx(less["embedding"], abs=1e-5)


@pytest.mark.parametrize("family", ["whisper", "wav2vec2"])
def test_a_classifier_hears_all_of_a_recording_in_evaluations_as_in_answers(family: str) -> None:
    task = task_of(family, CLASSES)
    sounds = [noise(seconds, seed) for seed, seconds in enumerate((1.0, 1.5, 1.6, 29.0, 0.2))]
    stretches = [cover_with_chunks(sound, 24_000) for sound in sounds]
    assert [len(parts) for parts in stretches] == [1, 1, 2, 20, 1]
    assert {len(part) for parts in stretches for part in parts} == {16_000, 24_000, 3_200}
    logits = []
    for parts in stretches:
        with torch.no_grad():
            logits.append(task.logits({"model": task.model.eval()}, task.batch_of(parts)).mean(0))
    answers = task.predict(sounds, OPTIONS[CLASSES])
    for answer, expected in zip(answers, logits, strict=True):
        probabilities = dict(zip(LABELS, expected.softmax(-1).tolist(), strict=True))
        assert answer["scores"] == pytest.approx(probabilities, abs=1e-5)
    (changed,) = task.predict([np.concatenate([sounds[3][:-16_000], noise(1.0, 9)])], OPTIONS[CLASSES])
    assert changed["scores"] != answers[3]["scores"], "its end is heard too"

    samples = [Recording(Waveform(sound, 16_000), label=LABELS[at % 3]) for at, sound in enumerate(sounds)]
    dataset = task.dataset(samples, train=False)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, at)) for at in range(5)])
    with torch.no_grad():
        found = task.evaluate(task.modules(), batch, At())
    due = [-np.log(answer["scores"][sample.label]) for answer, sample in zip(answers, samples, strict=True)]
    assert float(found.loss) == pytest.approx(sum(due), abs=1e-4) and int(found.weight) == 5
    told = [
        (LABELS.index(sample.label), LABELS.index(answer["label"]))
        for answer, sample in zip(answers, samples, strict=True)
    ]
    assert [divmod(pair, len(LABELS)) for pair in found.confusion] == told
    costs = (
        [24_000, 24_000, 48_000, 480_000, 24_000] if family == "whisper" else [16_000, 24_000, 48_000, 480_000, 3_200]
    )
    scale = 32_000 / 24_000 if family == "whisper" else 1  # its window is longer than the task's stretch
    assert dataset.lengths.tolist() == [round(cost * scale) for cost in costs]


def test_stretches_cover_a_recording_evenly_and_none_is_short() -> None:
    for size, longest in ((1, 10), (10, 10), (11, 10), (20, 10), (21, 10), (99, 10), (100, 7)):
        sound = np.arange(size, dtype=np.float32)
        parts = cover_with_chunks(sound, longest)
        assert set(np.concatenate(parts).tolist()) == set(sound.tolist())
        assert len(parts) == -(-size // longest) and {len(part) for part in parts} == {min(size, longest)}


@pytest.mark.parametrize("family", ["whisper", "wav2vec2"])
@pytest.mark.parametrize("name", [CLASSES, VOICES])
def test_a_batch_costs_what_its_recordings_cost_alone(family: str, name: str) -> None:
    task = task_of(family, name)
    samples = [Recording(Waveform(noise(0.4 * n + 0.01, n), 16_000), label=LABELS[n % 3]) for n in range(5)]
    dataset = task.dataset(samples, train=True)
    drawn = [dataset.sample(SampleKey(0, 0, number)) for number in range(5)]
    modules = task.modules()
    with torch.no_grad():
        whole = task.step("train", modules, dataset.collate(drawn), At())
        parts = [task.step("train", modules, dataset.collate([one]), At()) for one in drawn]
    assert float(whole.loss_sum) == pytest.approx(sum(float(part.loss_sum) for part in parts), rel=1e-5)
    assert int(whole.weight) == 5


# ---- what an encoder is given, and what is made of its states


def test_a_classifier_of_waveforms_averages_the_frames_of_the_recording() -> None:
    task = task_of("wav2vec2", CLASSES)
    sound = noise(1.0, 0)
    model: Any = task.model
    standard = torch.from_numpy(task.preprocessor.standardised(sound))[None]
    with torch.no_grad():
        states = wav2vec2.frames_of(model.wav2vec2, standard, torch.tensor([16_000]), None).states
        expected = model.classifier(model.projector(states).mean(1))
        found = task.logits({"model": model}, task.batch_of([sound, noise(1.4, 1)]))
    assert torch.allclose(found[:1], expected, atol=1e-5) and found.shape == (2, 3)


@pytest.mark.parametrize("name", [VOICES, FEATURES])
def test_embeddings_of_windows_are_of_the_frames_of_the_recording(name: str) -> None:
    task = task_of("whisper", name)
    for samples, frames in ((16_000, 50), (16_001, 51), (320, 1), (1, 1)):
        sound = noise(samples / 16_000, 3)
        assert len(sound) == samples
        batch = task.batch_of([sound])
        with torch.no_grad():
            states = task.model.encoder(batch["input_features"]).last_hidden_state[:, :frames]
            own = statistics(states, torch.tensor([frames]))
            expected = task.model.embedder(own) if name == VOICES else states.mean(1)
        (answer,) = task.predict([sound], OPTIONS[name])
        assert answer["embedding"] == pytest.approx(expected[0].tolist(), abs=1e-5)
        if name == FEATURES:
            (answer,) = task.predict([sound], EmbeddingOptions(frames=True))
            found = np.load(BytesIO(answer["frames"].data), allow_pickle=False)
            assert found.shape == (frames, 32) and np.allclose(found, states[0].numpy(), atol=1e-5)


def test_all_windows_cost_the_same() -> None:
    samples = [Recording(Waveform(noise(seconds, 0), 16_000), label="low") for seconds in (0.2, 1.0, 3.0)]
    windows, waveforms = (task_of(family, CLASSES).dataset(samples, train=True) for family in ("whisper", "wav2vec2"))
    assert windows.lengths.tolist() == [32_000] * 3 and waveforms.lengths.tolist() == [3_200, 16_000, 24_000]


def test_a_stretch_that_the_model_does_not_hear_at_once_is_refused() -> None:
    for name, make in (
        ("crop_seconds", lambda **config: AudioClassification(AudioClassificationConfig(**config), made("whisper", CLASSES))),
        ("crop_seconds", lambda **config: SpeakerVerification(SpeakerVerificationConfig(**config), made("whisper", VOICES))),
        ("heard_seconds", lambda **config: SpeakerVerification(SpeakerVerificationConfig(**config), made("whisper", VOICES))),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=rf"task\.{name} is 2\.1, but the model hears 2 s at once") as caught:
            make(**{name: 2.1})
        assert "model.max_frames" in caught.value.hint
        assert make(**{name: 2.0}).longest == 32_000
        assert make().longest == 32_000  # nobody chose the usual 5 and 10 seconds
    assert (
        task_of("wav2vec2", CLASSES).encoder.longest(AudioClassificationConfig(crop_seconds=60), "crop_seconds")
        == 960_000
    )
    task = task_of("whisper", FEATURES)
    with pytest.raises(DataError, match="input 2: longer than 2 s"):
        task.predict([noise(2.0, 0), noise(2.1, 0)], EmbeddingOptions())
    cut, whole = task.predict([noise(2.1, 0), noise(2.1, 0)[:32_000]], EmbeddingOptions(truncate=True))
    assert cut["embedding"] == pytest.approx(whole["embedding"], abs=1e-6)
    assert encoder_of(task.model, whisper_reader(max_seconds=1.0)).most_samples == 16_000


def test_what_a_window_is_given_is_shown_and_heard() -> None:
    task = task_of("whisper", CLASSES)
    samples = [Recording(Waveform(tone(label, 0), 16_000), label=label) for label in LABELS]
    files = task.input_artifacts(task.dataset(samples, train=True))
    assert set(files) == {"heard.png", "heard_1.wav", "heard_2.wav", "heard_3.wav"}
    heard, _ = read_audio(files["heard_2.wav"])
    assert np.allclose(heard / 0.9, tone("low", 0) / np.abs(tone("low", 0)).max(), atol=1e-4)
    answers = task.predict([tone("low", 0), tone("high", 0)], AudioClassificationOptions(plot=True))
    first, second = (answer["plot"] for answer in answers)
    assert isinstance(first, File) and first.suffix == ".png" and first.data != second.data


class Deaf(SpeechPreprocessor):
    """Reads for a family that has no encoder."""

    @classmethod
    def fit(cls, config: Any, samples: Any) -> Deaf:
        return cls()

    @classmethod
    def from_files(cls, files: Any) -> Deaf:
        return cls()

    def files(self) -> dict[str, bytes]:
        return {}

    def normalize_transcript(self, text: str) -> str:
        return text


def test_a_task_without_what_it_needs_is_refused() -> None:
    model = made("whisper", CLASSES).model
    with pytest.raises(UsageError, match="a Deaf reads for no encoder"):
        encoder_of(model, Deaf())
    context = TaskContext(model=model, preprocessor=whisper_reader())
    with pytest.raises(UsageError, match="needs a model with labels"):
        AudioClassification(AudioClassificationConfig(), context)
    with pytest.raises(UsageError, match="no loss of its own"):
        SpeakerVerification(SpeakerVerificationConfig(), context).loss()


@pytest.mark.parametrize("name", [CLASSES, VOICES])
def test_activations_may_be_computed_again(name: str) -> None:
    task = task_of("whisper", name)
    samples = [Recording(Waveform(tone(label, 0), 16_000), label=label) for label in LABELS]
    dataset = task.dataset(samples, train=True)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, number)) for number in range(3)])
    gradients = []
    for again in (False, True):
        if again:
            checkpoint_activations(task.model)
        task.model.train().zero_grad()
        task.step("train", task.modules(), batch, At()).loss_sum.backward()
        gradients.append({n: p.grad.clone() for n, p in task.model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and "encoder.conv1.weight" in gradients[0]
    assert all(torch.allclose(gradients[0][name], grad, atol=1e-5) for name, grad in gradients[1].items())


# ---- Transformers


def their_folder(folder: Path, **changes: Any) -> WhisperForAudioClassification:
    """As their example scripts leave it, and the tokenizer of the Whisper that was trained."""
    torch.manual_seed(1)
    config = TheirConfig(
        **{
            **{"vocab_size": 259, "num_mel_bins": 80, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1},
            **{
                "encoder_attention_heads": 2,
                "decoder_attention_heads": 4,
                "encoder_ffn_dim": 48,
                "decoder_ffn_dim": 64,
            },
            **{"max_source_positions": 100, "max_target_positions": 24, "decoder_start_token_id": 257},
            **{"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 256, "begin_suppress_tokens": None},
            **{"id2label": dict(enumerate(LABELS)), "label2id": {label: n for n, label in enumerate(LABELS)}},
            **changes,
        }
    )
    model: WhisperForAudioClassification = scaled(WhisperForAudioClassification(config), 6.0)
    model.save_pretrained(folder)
    WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)  # type: ignore[no-untyped-call]
    (folder / "tokenizer.json").write_text(whisper_reader().tokenizer.to_str())
    return model


SOUNDS = [tone("low", 1), noise(2.0, 4), noise(0.1, 5)]


def test_their_classifiers_give_the_same_logits_here(tmp_path: Path) -> None:
    theirs = their_folder(tmp_path / "theirs")
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    card = import_of(tmp_path / "theirs", "whisper_tiny_en.theirs", zoo)
    assert card.labels == LABELS and card.task_name == CLASSES
    loaded: Any = load("whisper_tiny_en.theirs", zoo=zoo)
    batch = EncoderTask.batch_of(loaded.task, SOUNDS)
    with torch.no_grad():
        found = loaded.task.logits({"model": loaded.model}, batch)
        assert torch.equal(found, theirs(batch["input_features"]).logits)
    assert torch.allclose(found, logits_of(theirs, tmp_path / "theirs", SOUNDS), atol=1e-3)
    assert float((found[0] - found[1]).abs().max()) > 0.05
    for sound, row in zip(SOUNDS, found.softmax(-1).tolist(), strict=True):
        answer = loaded.predict((sound, 16_000), top_k=3)
        assert answer["scores"] == pytest.approx(dict(zip(LABELS, row, strict=True)), abs=1e-5)
        assert set(answer) <= set(loaded.task_spec.outputs), "the command line shows nothing else"
    export_of("whisper_tiny_en.theirs", tmp_path / "ours", zoo)
    again: Any = AutoModelForAudioClassification.from_pretrained(tmp_path / "ours")
    assert type(again) is WhisperForAudioClassification and again.config.id2label == dict(enumerate(LABELS))
    assert {n: t.tolist() for n, t in again.state_dict().items()} == {
        n: t.tolist() for n, t in theirs.state_dict().items()
    }
    assert torch.equal(logits_of(again, tmp_path / "ours", SOUNDS), logits_of(theirs, tmp_path / "theirs", SOUNDS))
    assert import_of(tmp_path / "ours", "whisper_tiny_en.again", zoo).labels == LABELS


def test_classifiers_that_ours_can_not_be_are_refused(tmp_path: Path) -> None:
    their_folder(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}

    def refused(error: type[Exception], message: str, **changes: Any) -> None:
        config = json.dumps({**json.loads(files["config.json"]), **changes}).encode()
        with pytest.raises(error, match=message):
            WhisperInterop().read({**files, "config.json": config})

    refused(UsageError, "use_weighted_layer_sum: expected false, found true", use_weighted_layer_sum=True)
    refused(UsageError, "classifier_proj_size: expected 256, found 64", classifier_proj_size=64)
    refused(CorruptFile, "doesn't number its labels", id2label={"0": "a", "2": "b"})
    refused(CorruptFile, "id2label", id2label=["a"])
    with pytest.raises(CorruptFile, match=r"tokenizer\.json is missing") as caught:
        WhisperInterop().read({name: data for name, data in files.items() if name != "tokenizer.json"})
    assert "the one that it was trained from" in caught.value.hint
    for name in (VOICES, FEATURES):
        with pytest.raises(UsageError, match=f"no class for a whisper of {name}"):
            WhisperInterop().write(ForeignCheckpoint(config=SMALL, head=Head(task=name)))

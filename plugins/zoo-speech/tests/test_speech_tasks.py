"""Padding never changes a loss, an answer or a metric; draws are functions of their keys; baselines stand beside figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn
from zoo_speech.audio.audio import Waveform
from zoo_speech.configs.losses import Wav2Vec2ContrastiveConfig
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config
from zoo_speech.configs.tasks import (
    AudioClassificationConfig,
    AudioClassificationOptions,
    CTCConfig,
    CTCOptions,
    Wav2Vec2PretrainingConfig,
)
from zoo_speech.datasets.samples import Recording
from zoo_speech.losses import ctc, wav2vec2_contrastive
from zoo_speech.models import wav2vec2
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.tasks.audio_classification import AudioClassification
from zoo_speech.tasks.ctc_recognition import CTCRecognition
from zoo_speech.tasks.wav2vec2_pretraining import Wav2Vec2Pretraining
from zoo_transformers import checkpoint_activations

from zoo_core import DataError, UsageError
from zoo_core.contract import At, Head, NoConfig, SampleKey, TaskContext
from zoo_core.tasks import cross_entropy, figures_of
from zoo_core.testing import CrossEntropyConfig, gathered

SMALL: dict[str, Any] = {
    "conv_widths": (16,) * 7, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "intermediate_size": 64, "position_kernel": 8,
    "position_groups": 4, "codes": 8, "code_size": 8, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
TEXTS = ("Hello, world", "ab", "who is it")


def noise(seconds: float, seed: int) -> Waveform:
    draws = np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    return Waveform((0.1 * draws).astype(np.float32), 16_000)


SPOKEN = [Recording(noise(0.8 + 0.5 * n, n), text=text) for n, text in enumerate(TEXTS)]
LABELLED = [Recording(noise(0.6 + 0.3 * n, n), label="ab"[n % 2]) for n in range(4)]


def context(
    task: str, *, labels: tuple[str, ...] = (), loss: Any = None, text: str = "characters", **model: Any
) -> TaskContext:
    torch.manual_seed(0)
    reader = SpeechReader.fit(SpeechReaderConfig(text=text), SPOKEN)  # type: ignore[arg-type]
    config = Wav2Vec2Config(**{**SMALL, **reader.model_config(), **model})
    built = wav2vec2.build(config, Head(task=task, labels=len(labels)))
    return TaskContext(model=built, preprocessor=reader, labels=labels, loss=loss)


def recognition(layout: str = "large", **config: Any) -> CTCRecognition:
    return CTCRecognition(CTCConfig(**config), context("ctc-speech-recognition", loss=ctc(NoConfig()), layout=layout))


def pretraining(layout: str = "large") -> Wav2Vec2Pretraining:
    loss = wav2vec2_contrastive(Wav2Vec2ContrastiveConfig(diversity_weight=0.0))
    made = context("wav2vec2-pretraining", loss=loss, text="none", layout=layout)
    return Wav2Vec2Pretraining(Wav2Vec2PretrainingConfig(distractors=5), made)


def classification() -> AudioClassification:
    made = context("audio-classification", labels=("a", "b"), loss=cross_entropy(CrossEntropyConfig()), text="none")
    return AudioClassification(AudioClassificationConfig(crop_seconds=1.0), made)


def keys(count: int, epoch: int = 0) -> list[SampleKey]:
    return [SampleKey(0, epoch, index) for index in range(count)]


def summed(task: Any, samples: list[Any], *, train: bool, together: bool) -> tuple[float, float]:
    """Loss and weight of all samples in one batch, or one by one."""
    dataset = task.dataset(samples, train=train)
    drawn = [dataset.sample(key) for key in keys(len(samples))]
    batches = [drawn] if together else [[one] for one in drawn]
    task.model.eval()  # the quantizer draws nothing then
    with torch.no_grad():
        outputs = [task.step("train", {"model": task.model}, dataset.collate(batch), At()) for batch in batches]
    return sum(float(output.loss_sum) for output in outputs), sum(float(output.weight) for output in outputs)


@pytest.mark.parametrize(
    ("make", "samples", "train"),
    [
        (recognition, SPOKEN, False),
        (lambda: recognition(mask_probability=0.1), SPOKEN, True),
        (pretraining, SPOKEN, True),
        (classification, LABELLED, True),
        (lambda: recognition("base", mask_probability=0.1), SPOKEN, True),
        (lambda: pretraining("base"), SPOKEN, True),
    ],
    ids=["ctc", "ctc with masks", "wav2vec2", "classes", "ctc, base layout", "wav2vec2, base layout"],
)
def test_a_batch_costs_what_its_recordings_cost_alone(make: Any, samples: list[Any], train: bool) -> None:
    task = make()
    together, alone = (summed(task, samples, train=train, together=flag) for flag in (True, False))
    assert together[1] == alone[1] > 0
    assert together[0] == pytest.approx(alone[0], rel=1e-5)


@pytest.mark.parametrize("layout", ["large", "base"])
def test_answers_do_not_depend_on_neighbours(layout: str) -> None:
    task = recognition(layout)
    inputs = [sample.waveform for sample in SPOKEN]
    pairs = [(waveform.samples, waveform.rate) for waveform in inputs]
    together = task.predict(pairs, CTCOptions())
    assert together == [task.predict([pair], CTCOptions())[0] for pair in pairs]
    classes = classification()
    whole = classes.predict(pairs, AudioClassificationOptions(top_k=2))
    for pair, answer in zip(pairs, whole, strict=True):
        (single,) = classes.predict([pair], AudioClassificationOptions(top_k=2))
        assert len(single["scores"]) == 2
        assert single["label"] == answer["label"] and single["scores"] == pytest.approx(answer["scores"], abs=1e-5)


def test_scores_are_of_all_labels_unless_few_are_asked_for() -> None:
    classes = classification()
    pair = (SPOKEN[0].waveform.samples, SPOKEN[0].waveform.rate)
    (every,) = classes.predict([pair], AudioClassificationOptions())
    assert set(every["scores"]) == set(classes.labels) and sum(every["scores"].values()) == pytest.approx(1, abs=1e-5)


def test_what_is_hidden_is_a_function_of_the_key() -> None:
    task = pretraining()
    dataset = task.dataset(SPOKEN, train=True)
    first, again, later = (dataset.sample(SampleKey(0, epoch, 1)) for epoch in (0, 0, 1))
    assert np.array_equal(first[1], again[1]) and np.array_equal(first[2], again[2])
    assert not np.array_equal(first[1], later[1])
    batch = dataset.collate([dataset.sample(key) for key in keys(3)])
    assert int(batch["masks"].sum()) == len(batch["distractors"]) > 20
    rows = np.cumsum([0, *batch["masks"].sum(1).tolist()])
    for row, (start, end) in enumerate(pairwise(rows)):
        mine = batch["distractors"][start:end]
        assert int(mine.min()) >= start and int(mine.max()) < end, f"recording {row} has another's frames"
    for epoch, expected in ((0, 2.0), (3, 2.0 * 0.95**3), (1000, 0.5)):
        task.step("train", task.modules(), batch, At(epoch=epoch))
        assert cast("Any", task.model).quantizer.temperature == pytest.approx(expected)


def test_hidden_frames_are_not_seen() -> None:
    task = pretraining()
    task.model.eval()
    dataset = task.dataset(SPOKEN, train=True)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, 0))])
    encoder: Any = task.model.wav2vec2
    with torch.no_grad():
        whole = wav2vec2.frames_of(encoder, batch["samples"], batch["lengths"], None)
        hidden = wav2vec2.frames_of(encoder, batch["samples"], batch["lengths"], batch["masks"])
        nothing = torch.zeros_like(batch["masks"])
        assert torch.equal(
            wav2vec2.frames_of(encoder, batch["samples"], batch["lengths"], nothing).states, whole.states
        )
    assert not torch.allclose(whole.states, hidden.states)
    assert torch.equal(whole.features, hidden.features)


@pytest.mark.parametrize("layout", ["large", "base"])
def test_pretraining_learns_and_reaches_every_parameter(layout: str) -> None:
    task = pretraining(layout)
    task.model.train()
    dataset = task.dataset(SPOKEN, train=True)
    batch = dataset.collate([dataset.sample(key) for key in keys(3)])
    output = task.step("train", {"model": task.model}, batch, At())
    output.loss_sum.backward()  # type: ignore[no-untyped-call]
    assert [name for name, parameter in task.model.named_parameters() if parameter.grad is None] == []
    assert set(output.metrics) == {"accuracy", "codes"}
    assert task.baselines(SPOKEN, SPOKEN) == {"chance": {"accuracy": 1 / 6}}
    with pytest.raises(UsageError, match="answers nothing"):
        task.predict(["a.wav"], None)


def test_codes_in_use_do_not_depend_on_how_recordings_are_put_together() -> None:
    task = pretraining()
    task.model.eval()
    dataset = task.dataset(SPOKEN, train=False)
    drawn, figures = [dataset.sample(key) for key in keys(3)], []
    for size in (1, 3):
        batches = [dataset.collate(drawn[start : start + size]) for start in range(0, 3, size)]
        with torch.no_grad():
            found = [task.evaluate(task.modules(), batch, At()) for batch in batches]
        figures.append(task.summarize(gathered(found)))
    assert figures[0] == pytest.approx(figures[1], rel=1e-5) and 2 < figures[0]["codes"] <= 16


def test_blocks_that_are_left_out_have_a_gradient_of_zero() -> None:
    dropping = context("ctc-speech-recognition", loss=ctc(NoConfig()))
    task = CTCRecognition(CTCConfig(), dropping)
    encoder: Any = task.model.wav2vec2
    dataset = task.dataset(SPOKEN, train=False)
    batch = dataset.collate([dataset.sample(key) for key in keys(3)])
    losses = []
    for drop in (0.0, 1.0):
        task.model.zero_grad()
        encoder.config.layerdrop = drop
        output = task.step("train", {"model": task.model.train()}, batch, At())
        output.loss_sum.backward()  # type: ignore[no-untyped-call]
        losses.append(float(output.loss_sum.detach()))
        left_out = [weight.grad is not None and not weight.grad.any() for weight in encoder.encoder.layers.parameters()]
        assert all(left_out) if drop else not any(left_out[:4])
    assert losses[0] != losses[1]


def test_computing_activations_again_changes_no_gradient_of_the_base_layout() -> None:
    gradients = []
    for again in (False, True):
        task = recognition("base")
        if again:
            checkpoint_activations(task.model)  # type: ignore[arg-type]
        dataset = task.dataset(SPOKEN, train=False)
        batch = dataset.collate([dataset.sample(key) for key in keys(3)])
        task.step("train", {"model": task.model.train()}, batch, At()).loss_sum.backward()  # type: ignore[no-untyped-call]
        gradients.append([parameter.grad for parameter in task.model.parameters() if parameter.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True)) and len(gradients[0]) > 20


def test_transcripts_without_a_path_are_counted() -> None:
    task = recognition()
    samples = [SPOKEN[0], Recording(noise(0.1, 7), text="hello hello hello")]
    dataset = task.dataset(samples, train=True)
    found = []
    for index in range(2):
        output = task.step("train", task.modules(), dataset.collate([dataset.sample(SampleKey(0, 0, index))]), At())
        found.append((float(output.weight), float(output.metrics["left_out"])))
    assert found == [(11.0, 0.0), (0.0, 17.0)]


def test_figures_and_baselines_of_recognition() -> None:
    task = recognition()
    task.model.eval()
    dataset = task.dataset(SPOKEN, train=False)
    with torch.no_grad():
        result = task.evaluate({"model": task.model}, dataset.collate([dataset.sample(key) for key in keys(3)]), At())
    assert result.expected == ["hello world", "ab", "who is it"]
    assert set(task.summarize(result)) == {"wer", "cer", "loss"}
    assert set(task.intervals(replace(result, found=["hello world", "x", "who it"]))) == {"wer", "cer"}
    assert [task.better(name) for name in ("wer", "cer", "loss")] == ["min"] * 3
    assert task.artifacts({}, result)["transcripts.txt"].startswith(b"expected: hello world\nfound:")
    # The middle one by length, "who is it", is right once: five of six words are wrong or missing otherwise.
    assert task.baselines(SPOKEN, SPOKEN)["always the same"]["wer"] == pytest.approx((3 + 3) / 6)


def test_baselines_of_classification_hear_something() -> None:
    slow, fast = (np.sin(np.arange(8000) * step).astype(np.float32) for step in (0.05, 0.9))
    sounds = [Recording(Waveform((slow if n % 2 else fast) * 0.5, 16_000), label="ab"[n % 2]) for n in range(12)]
    listed = classification().baselines(sounds[:8], sounds[8:])
    baselines = {name: figures_of(found) for name, found in listed.items()}
    assert baselines["majority"]["accuracy"] == 0.5
    assert baselines["linear on MFCC statistics"]["accuracy"] == 1.0


def test_bad_samples_are_named() -> None:
    task = recognition()
    for sample, words in (
        (Recording(noise(0.5, 0), text=" ... "), "sample 2 has no transcript"),
        (Recording(noise(0.5, 0), text=" ... ", name="a/b.wav"), r"a/b\.wav has no transcript"),
        (Recording(noise(31, 0), text="long", name="c.wav"), r"c\.wav: 31\.0 s, at most 30 s"),
        ("a.wav", "sample 2: expected a recording"),
        (Recording(noise(31, 0), text="long"), r"sample 2: 31\.0 s, at most 30 s"),
    ):
        with pytest.raises(DataError, match=words):
            task.dataset([SPOKEN[0], sample], train=True)
    with pytest.raises(DataError, match="no recordings"):
        task.dataset([], train=True)
    with pytest.raises(DataError, match=r"unknown\.wav has no label"):
        classification().dataset([Recording(noise(0.5, 0), text="a", name="unknown.wav")], train=False)
    with pytest.raises(DataError, match="sample 1 has no label"):
        classification().dataset(SPOKEN, train=True)
    with pytest.raises(UsageError, match="needs a reader with symbols"):
        CTCRecognition(CTCConfig(), context("ctc-speech-recognition", loss=ctc(NoConfig()), text="none"))
    with pytest.raises(UsageError, match="expected WaveformPreprocessor"):
        AudioClassification(
            AudioClassificationConfig(), TaskContext(model=nn.Linear(1, 1), preprocessor=None, labels=("a",))
        )


def test_an_encoder_without_symbols_learns_them_when_it_is_fine_tuned() -> None:
    silent = SpeechReader.fit(SpeechReaderConfig(text="none"), SPOKEN)
    assert silent.model_config() == {} and "symbols.json" not in silent.files()
    spelling = silent.adjusted({"text": "characters", "max_seconds": 12.0}, SPOKEN)
    assert spelling.characters is not None and "w" in spelling.characters.symbols
    assert spelling.model_config() == {"vocab_size": len(spelling.characters)} and spelling.max_seconds == 12.0
    assert silent.characters is None
    # Symbols that a head was trained with stay.
    assert spelling.adjusted({"max_seconds": 5.0}, []).characters is spelling.characters
    with pytest.raises(UsageError, match="can't change its case"):
        spelling.adjusted({"case": "keep"}, SPOKEN)
    with pytest.raises(DataError, match="has no transcript"):
        silent.adjusted({"text": "characters"}, LABELLED)

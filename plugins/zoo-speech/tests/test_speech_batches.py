"""How recordings are put together changes no loss, and a cap on the padded cost holds for what is collated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from zoo_speech.audio.audio import Waveform
from zoo_speech.configs.augment import WaveAugmentConfig
from zoo_speech.configs.losses import Wav2Vec2ContrastiveConfig
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig, WhisperReaderConfig
from zoo_speech.configs.tasks import CTCConfig, RecognitionConfig, Wav2Vec2PretrainingConfig
from zoo_speech.datasets.samples import Recording
from zoo_speech.losses import ctc, wav2vec2_contrastive
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.preprocessor import SpeechReader, WhisperReader
from zoo_speech.tasks.ctc_recognition import CTCRecognition
from zoo_speech.tasks.wav2vec2_pretraining import Wav2Vec2Pretraining
from zoo_speech.tasks.whisper_recognition import Recognition

from zoo_core.contract import At, Head, NoConfig, SampleKey, TaskContext
from zoo_core.tasks import cross_entropy
from zoo_core.testing import BatchPlan, CrossEntropyConfig, Cursor, evaluation_batches, training_batches

COST, MOST = 40_000, 12
TEXTS = ("one", "two three", "four", "five six seven")


def skewed(count: int) -> list[Recording]:
    """Most of them short, some ten times as long."""
    draws = np.random.default_rng(0)
    sizes = np.minimum(2_000 * draws.lognormal(0.5, 0.8, count), 20_000).astype(int)
    waves = [(0.1 * draws.standard_normal(size)).astype(np.float32) for size in sizes]
    return [Recording(Waveform(wave, 16_000), text=TEXTS[number % len(TEXTS)]) for number, wave in enumerate(waves)]


def recognition(*speeds: float) -> CTCRecognition:
    torch.manual_seed(0)
    reader = SpeechReader.fit(SpeechReaderConfig(), skewed(len(TEXTS)))
    small: dict[str, Any] = {"conv_widths": (8,) * 7, "position_kernel": 8, "position_groups": 4}
    config = Wav2Vec2Config(
        **small, hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, **reader.model_config()
    )
    model = wav2vec2.build(config, Head(task="ctc-speech-recognition"))
    chosen = CTCConfig(augment=WaveAugmentConfig(speeds=speeds or (1.0,)))
    return CTCRecognition(chosen, TaskContext(model=model, preprocessor=reader, loss=ctc(NoConfig())))


def dictation() -> Recognition:
    torch.manual_seed(0)
    special = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    sizes: dict[str, Any] = {"hidden_size": 32, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2}
    config = WhisperConfig(
        **sizes, vocab_size=259, intermediate_size=64, max_frames=128, max_length=32, start_id=257, eos_id=256
    )
    reader = WhisperReader(WhisperReaderConfig(max_seconds=1.28), tokenizer)
    loss = cross_entropy(CrossEntropyConfig())
    context = TaskContext(model=whisper.build(config, Head()), preprocessor=reader, loss=loss)
    return Recognition(RecognitionConfig(), context)


@pytest.mark.parametrize("make", [recognition, dictation])
def test_losses_do_not_depend_on_buckets(make: Any) -> None:
    task = make()
    dataset = task.dataset(skewed(24), train=False)
    task.model.eval()
    sums = []
    for size in (1, 5, 24):
        batches = evaluation_batches(dataset, batch_size=size, rank=0, ranks=1, workers=0)
        with torch.no_grad():
            found = [task.step("train", task.modules(), batch, At()) for batch in batches]
        sums.append((sum(float(one.loss_sum) for one in found), sum(float(one.weight) for one in found)))
    assert len({weight for _, weight in sums}) == 1 and sums[0][1] > 50
    assert [loss for loss, _ in sums] == pytest.approx([sums[0][0]] * 3, rel=1e-5)


@pytest.mark.parametrize("speeds", [(), (0.9, 1.0, 1.1), (0.5,)], ids=["as recorded", "a tenth", "half"])
def test_a_cap_bounds_what_is_collated(speeds: tuple[float, ...]) -> None:
    dataset = recognition(*speeds).dataset(skewed(300), train=True)
    lengths = dataset.lengths
    assert lengths is not None and lengths.max() > 4 * np.median(lengths)
    plan = BatchPlan(len(dataset), batch_size=MOST, seed=0, lengths=lengths, batch_cost=COST)
    epoch = list(plan.epoch(0))
    steps = training_batches(dataset, plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    shapes = [tuple(batch["samples"].shape) for _ in epoch for batch in next(steps).micro_batches]
    assert all(count <= MOST and count * width <= COST for count, width in shapes)
    # The cap is used: long ones come in twos, short ones by the dozen, and none is lost.
    counts = [count for count, _ in shapes]
    assert min(counts) <= 2 and max(counts) == MOST and sum(counts) == 300
    assert sum(count * width for count, width in shapes) < 1.1 * int(lengths.sum())


@pytest.mark.parametrize("crop", [0.2, 0.6])
def test_lengths_of_pretraining_are_those_that_are_collated(crop: float) -> None:
    torch.manual_seed(0)
    reader = SpeechReader(SpeechReaderConfig(text="none"), None)
    small: dict[str, Any] = {"conv_widths": (8,) * 7, "position_kernel": 8, "position_groups": 4, "codes": 4}
    config = Wav2Vec2Config(**small, code_size=8, hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32)
    model = wav2vec2.build(config, Head(task="wav2vec2-pretraining"))
    loss = wav2vec2_contrastive(Wav2Vec2ContrastiveConfig())
    # Half a second has 24 frames, fewer than a span of so many and one to tell it from.
    options = Wav2Vec2PretrainingConfig(crop_seconds=crop, mask_length=30, distractors=3)
    task = Wav2Vec2Pretraining(options, TaskContext(model=model, preprocessor=reader, loss=loss))
    dataset = task.dataset(skewed(20), train=True)
    for index in range(20):
        batch = dataset.collate([dataset.sample(SampleKey(0, 0, index))])
        assert batch["samples"].shape[1] == dataset.lengths[index] and int(batch["masks"].sum()) >= 30
        assert float(task.step("train", task.modules(), batch, At()).weight) >= 30


def test_a_cap_bounds_what_evaluations_collate() -> None:
    dataset = recognition(0.5).dataset(skewed(300), train=False)
    batches = evaluation_batches(dataset, batch_size=MOST, batch_cost=COST, rank=0, ranks=1, workers=0)
    shapes = [tuple(batch["samples"].shape) for batch in batches]
    assert all(count <= MOST and count * width <= COST for count, width in shapes)
    assert sum(count for count, _ in shapes) == 300 and max(shapes)[0] == MOST

"""Recordings that are shorter than a frame, windows that are shorter than a checkpoint's, and what training leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from torch import nn
from zoo_speech.audio.audio import Waveform
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig, WhisperReaderConfig
from zoo_speech.configs.tasks import CTCConfig, CTCOptions, RecognitionConfig
from zoo_speech.datasets.samples import Recording
from zoo_speech.losses import ctc
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.preprocessor import SpeechReader, WhisperReader
from zoo_speech.tasks.common import filter_by_duration
from zoo_speech.tasks.ctc_recognition import CTCRecognition
from zoo_speech.tasks.whisper_recognition import Recognition

from zoo_core import ArchMismatch, DataError
from zoo_core.contract import At, Head, NoConfig, SampleKey, TaskContext
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig

WHISPER: dict[str, Any] = {
    "vocab_size": 16, "hidden_size": 32, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2, "intermediate_size": 64,
    "max_length": 24, "start_id": 1, "eos_id": 0,
}  # fmt: skip


def spoken(samples: int, text: str = "a") -> Recording:
    draws = np.random.default_rng(samples).standard_normal(samples)
    return Recording(Waveform((0.1 * draws).astype(np.float32), 16_000), text=text)


def recogniser() -> CTCRecognition:
    torch.manual_seed(0)
    reader = SpeechReader.fit(SpeechReaderConfig(), [spoken(4_000, "abc")])
    config = Wav2Vec2Config(
        conv_widths=(16,) * 7, hidden_size=32, num_layers=1, num_heads=2, intermediate_size=64, position_kernel=8,
        position_groups=4, dropout=0.0, attention_dropout=0.0, **reader.model_config(),
    )  # fmt: skip
    model = wav2vec2.build(config, Head(task="ctc-speech-recognition")).eval()
    return CTCRecognition(CTCConfig(), TaskContext(model=model, preprocessor=reader, loss=ctc(NoConfig())))


def listener(frames: int) -> nn.Module:
    torch.manual_seed(0)
    return whisper.build(WhisperConfig(max_frames=frames, **WHISPER), Head())


def test_the_shortest_waveform_has_one_frame() -> None:
    architecture = recogniser().model.config
    assert wav2vec2.samples_of(architecture, 1) == 400  # 25 ms at 16 kHz, as the paper says of a frame's field
    assert wav2vec2.frame_count(architecture, 400) == 1 and wav2vec2.frame_count(architecture, 399) == 0


@pytest.mark.parametrize("samples", [1, 100, 399, 400])
def test_a_recording_shorter_than_a_frame_is_answered_alone_and_beside_longer_ones(samples: int) -> None:
    task = recogniser()
    short = torch.randn(1, samples, generator=torch.Generator().manual_seed(samples))
    beside = torch.randn(2, 4_000, generator=torch.Generator().manual_seed(1))
    beside[0] = torch.nn.functional.pad(short[0], (0, 4_000 - samples))
    with torch.no_grad():
        alone = wav2vec2.frames_of(task.model.wav2vec2, short, torch.tensor([samples]), None)  # type: ignore[arg-type]
        both = wav2vec2.frames_of(task.model.wav2vec2, beside, torch.tensor([samples, 4_000]), None)  # type: ignore[arg-type]
    assert alone.lengths.tolist() == [1] and both.lengths.tolist() == [1, 12]
    assert torch.isfinite(alone.states).all()
    torch.testing.assert_close(alone.states[0, :1], both.states[0, :1], atol=1e-5, rtol=0)
    assert isinstance(task.predict([spoken(samples)], CTCOptions())[0]["text"], str)


@pytest.mark.parametrize("samples", [1, 399])
def test_a_batch_of_recordings_shorter_than_a_frame_is_trained_on(samples: int) -> None:
    task = recogniser()
    task.model.train()
    dataset = task.dataset([spoken(samples)], train=True)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, 0))])
    assert torch.isfinite(task.step("train", {"model": task.model}, batch, At()).loss_sum)


def test_a_shorter_window_keeps_the_first_positions() -> None:
    whole, shorter = listener(64), listener(24)
    name = "model.encoder.embed_positions.weight"
    table, due = whole.state_dict()[name], tuple(shorter.state_dict()[name].shape)
    found = whisper.adapt(name, table, due)
    assert found is not None and torch.equal(found, table[:12])
    assert whisper.adapt(name, table[:12], tuple(table.shape)) is None, "there are no rows to make a longer one from"
    with pytest.raises(ArchMismatch, match=r"decoder\.embed_positions\.weight: has shape"):
        whisper.adapt("model.decoder.embed_positions.weight", table, due)
    assert whisper.adapt(name, table, (12, 31)) is None


def test_training_leaves_out_what_is_longer_and_an_evaluation_does_not() -> None:
    tokenizer = Tokenizer(models.WordLevel({"end": 0, "start": 1, "a": 2, "?": 3}, unk_token="?"))
    tokenizer.add_special_tokens(["start"])
    reader = WhisperReader(WhisperReaderConfig(prompt=("start",)), tokenizer)
    context = TaskContext(model=listener(64), preprocessor=reader, loss=cross_entropy(CrossEntropyConfig()))
    task = Recognition(RecognitionConfig(longest=0.5), context)
    samples = [spoken(4_000), spoken(12_000), spoken(8_000)]
    assert len(task.dataset(samples, train=True)) == 2
    with pytest.raises(DataError, match=r"sample 2: 0\.8 s"):
        task.dataset(samples, train=False)
    kept = filter_by_duration(samples, 0.5)
    assert [kept[place] for place in range(len(kept))] == [samples[0], samples[2]]
    with pytest.raises(DataError, match=r"at most 0\.1 s among 3"):
        filter_by_duration(samples, 0.1)
    with pytest.raises(ValueError, match="longest"):
        RecognitionConfig(longest=0.0)


def test_recipes_of_the_plugin_are_read(tmp_path: Path) -> None:
    from zoo_core import load_recipe, open_zoo
    from zoo_core.testing import shipped_recipes

    host = open_zoo({"ZOO_HOME": str(tmp_path)}).host
    names = [name for name, path in shipped_recipes(host).items() if "zoo_speech" in path.parts]
    assert {"wav2vec2_tiny_mix", "whisper_tiny_en_voices", "whisper_tiny_en_czech"} <= set(names)
    for name in names:
        load_recipe(name, [], host)

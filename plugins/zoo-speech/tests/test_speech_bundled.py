"""What comes with the plugin works right after installation, with an empty home and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speech_toys import Samples, noise, tone
from torch import Tensor, nn
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
from zoo_speech.audio.audio import Waveform, resampled, wav_bytes

from zoo_core import Zoo, create_model, export, load, open_zoo

NAME = "wav2vec2_nano.languages"


def syllables(sound: Samples) -> Samples:
    """The sound, coming and going four times a second: what is steady isn't taken for speech."""
    return (sound * np.clip(np.sin(np.arange(len(sound)) * 2 * np.pi * 4 / 16_000), 0, 1)).astype(np.float32)


SOUNDS: list[Samples] = [
    syllables(sound) for sound in (tone("low", 1), noise(1.3, 4), np.concatenate([tone("high", 2), noise(0.7, 5)]))
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def test_it_answers_for_arrays_files_and_other_rates_alike(zoo: Zoo, tmp_path: Path) -> None:
    loaded = load(NAME, zoo=zoo)
    plain: Any = [loaded.predict((sound, 16_000), top_k=15) for sound in SOUNDS]
    assert {answer["label"] for answer in plain} <= set(loaded.labels) and len(loaded.labels) == 15
    for number, (sound, answer) in enumerate(zip(SOUNDS, plain, strict=True)):
        assert set(answer["scores"]) == set(loaded.labels) and sum(answer["scores"].values()) == pytest.approx(
            1, abs=1e-5
        )
        path = tmp_path / f"{number}.wav"
        path.write_bytes(wav_bytes(sound, 16_000))
        assert loaded.predict(str(path))["scores"][answer["label"]] == pytest.approx(answer["score"], abs=0.01)
        # A recording of twice the rate is heard as the same one, but for what filters take from noise at the rate's half.
        finer: Any = loaded.predict(tuple(resampled(Waveform(sound, 16_000), 32_000)))
        assert finer["label"] == answer["label"] and finer["score"] == pytest.approx(answer["score"], abs=0.15)
    assert loaded.predict([(sound, 16_000) for sound in SOUNDS], top_k=1)[1]["score"] == pytest.approx(
        plain[1]["score"]
    )


def test_its_card_states_data_split_seed_and_baselines(zoo: Zoo) -> None:
    card = zoo.registry.find(NAME).card
    accuracy = next(metric for metric in card.metrics if metric.name == "accuracy")
    assert (accuracy.split, accuracy.samples, accuracy.seed) == ("test", 1_302, 0)
    baselines = accuracy.baselines
    assert accuracy.value > baselines["linear on MFCC statistics"] > baselines["majority"]
    assert zoo.registry.verify(zoo.registry.find(NAME)) == []
    assert sum(file.size for file in card.files) <= 3 << 20


def test_other_heads_keep_its_encoder(zoo: Zoo) -> None:
    model: Any = create_model(NAME, pretrained=True, labels=("cs", "sk"), zoo=zoo)
    assert "classifier.weight" in model.zoo_adaptation.resized, "the row of a language that it knows is kept"
    model = create_model(NAME, pretrained=True, task="speaker-verification", zoo=zoo)
    assert set(model.zoo_adaptation.initialised) == {"embedder.weight", "embedder.bias"}
    bare: Any = create_model(NAME, pretrained=True, task="speech-feature-extraction", zoo=zoo)
    assert not bare.zoo_adaptation.initialised


def test_it_opens_in_transformers_and_says_the_same(zoo: Zoo, tmp_path: Path) -> None:
    folder = export(NAME, tmp_path / "exported", zoo=zoo)
    theirs = AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    loaded = load(NAME, zoo=zoo)
    for sound in SOUNDS:
        heard = extractor(sound, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            probabilities = theirs(**heard).logits.softmax(-1)[0].tolist()
        expected = {theirs.config.id2label[number]: value for number, value in enumerate(probabilities)}
        assert loaded.predict((sound, 16_000), top_k=15)["scores"] == pytest.approx(expected, abs=1e-4)


class Outputs(nn.Module):
    """What its task computes of a batch."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.model, self.outputs = task.model, task.outputs

    def forward(self, batch: dict[str, Tensor]) -> Any:
        """(B, C)."""
        return self.outputs({"model": self.model}, batch)


def test_a_program_of_it_takes_any_number_of_recordings(zoo: Zoo) -> None:
    """Of one length here: `zoo export` leaves it free, which torch takes its time to prove."""
    task = load(NAME, zoo=zoo).task
    two = task.example_batch(2)
    assert two["samples"].shape[1] < task.example_batch(3)["samples"].shape[1]
    five = {name: torch.cat((rows, rows, rows[:1])) for name, rows in two.items()}
    free = {name: {0: torch.export.Dim.AUTO} for name in two}
    with torch.no_grad():
        expected = task.outputs(task.modules(), five)
        program = torch.export.export(Outputs(task), (two,), dynamic_shapes=(free,), strict=False)
        assert torch.allclose(program.module()(five), expected, atol=1e-5)

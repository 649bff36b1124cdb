"""A Whisper recogniser's encoder under other heads: what is kept of the checkpoint, and runs that start from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speech_toys import export_of, logits_of, noise, registered_whisper, tone
from transformers import AutoModelForAudioClassification
from zoo_speech.audio.audio import wav_bytes

from zoo_core import ArchMismatch, UsageError, Zoo, create_model, evaluate, load, open_zoo, train
from zoo_core.tasks import ClassResult

LABELS = ("high", "low", "middle")
NAME = "whisper_tiny_en.tones"
CLASSES, VOICES, FEATURES = "audio-classification", "speaker-verification", "speech-feature-extraction"


# ---- a checkpoint of a recogniser


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """With a recogniser of random weights as it is imported."""
    root = tmp_path_factory.mktemp("zoo")
    opened = open_zoo({"ZOO_HOME": str(root / "home")})
    registered_whisper(NAME, root, opened)
    return opened


@pytest.mark.parametrize(
    ("name", "count", "fresh"),
    [
        (CLASSES, 3, ("projector.weight", "projector.bias", "classifier.weight", "classifier.bias")),
        (VOICES, None, ("embedder.weight", "embedder.bias")),
        (FEATURES, None, ()),
    ],
)
def test_an_encoder_is_kept_and_its_decoder_dropped(zoo: Zoo, name: str, count: Any, fresh: tuple[str, ...]) -> None:
    whole: Any = create_model(NAME, pretrained=True, zoo=zoo)
    encoder = {f"encoder.{key}": value for key, value in whole.model.encoder.state_dict().items()}
    decoder = {key for key in whole.state_dict() if key.startswith("model.decoder.")}
    model: Any = create_model(NAME, pretrained=True, task=name, num_labels=count, zoo=zoo)
    found = model.zoo_adaptation
    assert set(found.kept) == set(encoder) and not found.resized
    assert found.initialised == fresh and set(found.dropped) == decoder and decoder
    state = model.state_dict()
    assert set(state) == {*encoder, *fresh} and all(state[key].equal(value) for key, value in encoder.items())
    shorter: Any = create_model(NAME, pretrained=True, task=name, num_labels=count, max_frames=100, zoo=zoo)
    found = shorter.zoo_adaptation
    assert found.resized == ("encoder.embed_positions.weight",) and set(found.dropped) == decoder
    assert set(found.kept) == set(encoder) - set(found.resized) and found.initialised == fresh
    positions = shorter.state_dict()["encoder.embed_positions.weight"]
    assert positions.equal(encoder["encoder.embed_positions.weight"][:50])


@pytest.mark.parametrize("changes", [{"vocab_size": 300}, {"max_length": 12}, {"hidden_size": 64}, {"max_frames": 400}])
def test_what_does_not_fit_a_recogniser_stays_refused(zoo: Zoo, changes: Any) -> None:
    with pytest.raises(ArchMismatch, match="needs"):
        create_model(NAME, pretrained=True, zoo=zoo, **changes)


def test_a_recogniser_has_no_head_of_another_task_nor_rows_for_a_longer_window(zoo: Zoo) -> None:
    with pytest.raises(ArchMismatch, match="needs"):
        create_model(NAME, pretrained=True, task=CLASSES, num_labels=2, max_frames=400, zoo=zoo)
    for name in (CLASSES, VOICES):
        with pytest.raises(UsageError, match=f"no head for {name}"):
            load(NAME, task=name, zoo=zoo)


def test_a_recogniser_embeds(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(tone("low", 0), 16_000))
    loaded = load(NAME, task=FEATURES, zoo=zoo)
    answer = loaded.predict(str(tmp_path / "a.wav"))
    assert len(answer["embedding"]) == 32 and np.linalg.norm(answer["embedding"]) == pytest.approx(1.0, abs=1e-5)


# ---- runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tones")
    for label in LABELS:
        (root / label).mkdir()
        for number in range(8):
            (root / label / f"{number}.wav").write_bytes(wav_bytes(tone(label, number), 16_000))
    return root


@pytest.fixture(scope="module")
def classifier(zoo: Zoo, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Sixteen steps from the recogniser, in windows of a second; nobody said how long a crop is."""
    recipe = {
        "name": "whisper_tiny_en.classes",
        "init": NAME,
        "model": {"max_frames": 100},
        "task": {"name": CLASSES},
        "data": {"name": "labelled-speech", "path": str(folder), "test_fraction": 0.25, "validation_fraction": 0.25},
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "training": {"steps": 16, "batch_size": 6, "evaluate_every": 8, "workers": 1},
    }
    return train(recipe, folder=tmp_path_factory.mktemp("runs") / "run", zoo=zoo)


def test_sixteen_steps_tell_tones(classifier: Any, zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    assert classifier.metrics["accuracy"] >= 0.8 > classifier.baselines["majority"]["accuracy"]
    assert classifier.card.labels == LABELS and classifier.card.config["max_frames"] == 100
    assert "000000000-heard.png" in {path.name for path in (classifier.folder / "artifacts").iterdir()}
    loaded = load("whisper_tiny_en.classes", zoo=zoo)
    classes = len(loaded.task.labels)
    pairs = [0] * 6 + [1] * 2 + [classes] + [classes + 1] * 7
    assert set(loaded.task.intervals(ClassResult(loss=torch.zeros(()), weight=torch.ones(()), confusion=pairs))) == {
        "accuracy",
        "macro_f1",
    }
    assert [loaded.task.better(name) for name in ("accuracy", "macro_f1", "loss")] == ["max", "max", "min"]
    answer = loaded.predict(str(folder / "high" / "0.wav"), plot=True)
    assert answer["label"] == "high" and answer["plot"].suffix == ".png"
    metrics, *_ = evaluate("whisper_tiny_en.classes", str(folder), settings={"test_fraction": 0.5}, zoo=zoo)
    assert next(one for one in metrics if one.name == "accuracy").value >= 0.8
    one_class = tmp_path / "mine"
    shutil.copytree(folder / "high", one_class / "high")
    whole, *_ = evaluate("whisper_tiny_en.classes", str(one_class), zoo=zoo)
    assert {(one.split, one.samples) for one in whole} == {("all", len(list((folder / "high").iterdir())))}
    embedded = load("whisper_tiny_en.classes", task=FEATURES, zoo=zoo).predict(str(folder / "low" / "0.wav"))
    assert len(embedded["embedding"]) == 32
    with pytest.raises(UsageError, match="no head for automatic-speech-recognition"):
        load("whisper_tiny_en.classes", task="automatic-speech-recognition", zoo=zoo)


def test_a_trained_classifier_opens_there(classifier: Any, zoo: Zoo, tmp_path: Path) -> None:
    export_of("whisper_tiny_en.classes", tmp_path / "out", zoo)
    theirs: Any = AutoModelForAudioClassification.from_pretrained(tmp_path / "out")
    loaded: Any = load("whisper_tiny_en.classes", zoo=zoo)
    sounds = [tone("middle", 3), noise(0.7, 1)]
    with torch.no_grad():
        found = loaded.task.logits({"model": loaded.model}, loaded.task.batch_of(sounds))
    assert torch.allclose(logits_of(theirs.eval(), tmp_path / "out", sounds), found, atol=1e-3)


def test_rows_of_labels_are_kept_by_name(classifier: Any, zoo: Zoo) -> None:
    before = create_model("whisper_tiny_en.classes", pretrained=True, zoo=zoo).state_dict()
    model: Any = create_model("whisper_tiny_en.classes", pretrained=True, labels=("new", "middle", "high"), zoo=zoo)
    after = model.state_dict()
    assert set(model.zoo_adaptation.resized) == {"classifier.weight", "classifier.bias"}
    assert after["classifier.weight"][1:].equal(before["classifier.weight"][[2, 0]])
    assert after["projector.weight"].equal(before["projector.weight"])


def test_a_run_on_voices(zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    recipe = {
        "name": "whisper_tiny_en.voices",
        "init": NAME,
        "task": {"name": VOICES, "crop_seconds": 0.4},
        "data": {"name": "labelled-speech", "train": str(folder), "validation": str(folder), "test": str(folder)},
        "loss": {"name": "additive-angular-margin", "scale": 15.0, "margin": 0.1},
        "optimizer": {"name": "adamw", "lr": 2e-3},
        "training": {"steps": 6, "batch_size": 6, "evaluate_every": 6, "freeze": ["backbone"], "extras": "off"},
    }
    result = train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert result.metrics["eer"] < 0.3
    loaded = load("whisper_tiny_en.voices", zoo=zoo)
    state = loaded.model.state_dict()
    assert not any(name.startswith("voices") for name in state)
    before = create_model(NAME, pretrained=True, zoo=zoo).state_dict()
    assert state["encoder.conv1.weight"].equal(before["model.encoder.conv1.weight"]), "the encoder was frozen"
    one, other, stranger = (str(folder / name) for name in ("low/0.wav", "low/1.wav", "high/0.wav"))
    same, apart = loaded.predict([other, stranger], against=one)
    assert len(same["embedding"]) == 192 and same["score"] > apart["score"]
    with pytest.raises(UsageError, match="no class for a whisper of speaker-verification"):
        export_of("whisper_tiny_en.voices", tmp_path / "out", zoo)


def test_a_crop_that_is_longer_than_the_window_stops_a_run(zoo: Zoo, folder: Path, tmp_path: Path) -> None:
    recipe = {
        "name": "whisper_tiny_en.cropped",
        "init": NAME,
        "model": {"max_frames": 100},
        "task": {"name": CLASSES, "crop_seconds": 1.5},
        "data": {"name": "labelled-speech", "path": str(folder)},
        "optimizer": {"name": "adamw", "lr": 3e-3},
        "training": {"steps": 1, "batch_size": 6, "extras": "off"},
    }
    with pytest.raises(UsageError, match=r"task\.crop_seconds is 1\.5, but the model hears 1 s at once"):
        train(recipe, folder=tmp_path / "run", zoo=zoo)

"""What the plugin says of itself is true, light and whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from zoo_speech.audio.containers import SUFFIXES
from zoo_speech.plugin import zoo_data, zoo_models, zoo_tasks

from zoo_core import Zoo, create_model, open_zoo
from zoo_core.testing import find_catalogue, read_registry


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def test_every_target_can_be_resolved(zoo: Zoo) -> None:
    for kind in ("model", "data", "loss", "task"):
        mine = [provided for provided in zoo.host.all(kind) if provided.plugin == "zoo-speech"]
        assert mine
        for provided in mine:
            assert callable(provided.resolve(provided.spec.target)), provided.id
            assert provided.config is not None


def test_files_that_are_found_in_folders_are_those_that_can_be_read() -> None:
    for task in zoo_tasks():
        assert not task.input_suffixes or set(task.input_suffixes) == set(SUFFIXES)


@pytest.mark.parametrize("model", [spec.name for spec in zoo_models()])
def test_families_have_the_heads_of_their_tasks(zoo: Zoo, model: str) -> None:
    spec = zoo.host.find("model", model).spec
    small: dict[str, Any] = {
        "whisper": {
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
        },
        "wav2vec2": {
            "hidden_size": 16,
            "num_heads": 2,
            "intermediate_size": 16,
            "num_layers": 1,
            "conv_widths": (8,) * 7,
        },
    }[model]
    for task in spec.tasks:
        built = create_model(
            model, task=task, num_labels=3 if task == "audio-classification" else None, zoo=zoo, **small
        )
        names = set(built.state_dict())
        backbone = "" if task == "speech-feature-extraction" else spec.backbone  # which is all of it
        if not any(name.startswith(backbone) for name in names):
            backbone = "encoder."  # Whisper's without its decoder, whose prefix Transformers gives to both together
        assert any(name.startswith(backbone) for name in names)
        assert all(name.startswith((backbone, *spec.head)) for name in names)


def test_the_base_model_has_the_published_number_of_parameters(zoo: Zoo) -> None:
    """wav2vec2-base-960h has 94,396,320 with its head of 32 symbols."""
    with torch.device("meta"):
        base: Any = create_model("wav2vec2_base", task="ctc-speech-recognition", zoo=zoo)
    assert sum(parameter.numel() for parameter in base.parameters()) == 94_396_320


def test_the_plugin_module_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "torchaudio", "soundfile", "av", "transformers", "zoo_speech.configs.models")
    code = f"import sys, zoo_speech.plugin; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_bundled_card_and_the_notice_state_the_licence_of_each_source() -> None:
    specs = {spec.name: spec for spec in zoo_data()}
    card = next(card for card in read_registry(find_catalogue()) if card.name == "wav2vec2_nano.languages")
    assert card.data is not None and card.data.licenses == specs["spoken-language"].licenses
    assert {"czech": "GPL-2.0-only", "asterisk-it": "CC-BY-3.0"}.items() <= card.data.licenses.items()
    assert all(specs[source].license == license for source, license in card.data.licenses.items())
    notice = (Path(__file__).parent.parent / "NOTICE").read_text()
    stated = dict(line.split()[:2] for line in notice.splitlines() if line.startswith("  "))
    assert stated == card.data.licenses


def test_checkpoints_are_found_by_the_modality_of_the_plugin_and_by_their_cards(zoo: Zoo) -> None:
    (entry,) = [entry for entry in zoo.registry.cards() if entry.card.name == "wav2vec2_nano.languages"]
    assert entry.card.modality == "speech" and zoo.registry.modality(entry.card) == "audio"
    for word in ("audio", "speech"):
        assert entry.card.name in [found.card.name for found in zoo.registry.cards(modality=word)]

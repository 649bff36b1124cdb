"""Runs of every modality over `zoo_toys.faulty`, and what is amiss when one of their extras has failed."""

from __future__ import annotations

import io
import itertools
import wave
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.api import load
from zoo_core.plugins.host import PluginHost
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.checkpoint import open_folder
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.extras import BASELINES, PLOTS, RETROSPECT
from zoo_core.runs.record import Record
from zoo_toys.faulty import AFTER, BEFORE

WAYS_BEFORE, WAYS_AFTER = ("raises", "hangs", "exits"), ("raises", "hangs", "exits", "dies", "eats")
COMBINATIONS = (*itertools.product(BEFORE, WAYS_BEFORE), *itertools.product(AFTER, WAYS_AFTER))
"""Each extra and how it fails."""

MEMORY = 1 << 30
"""Bytes that the process of the extras may hold, where half of this machine's would be too much for a test."""

_CAUSES = {
    "raises": r"ValueError: a careless\x1b[31m plugin",
    "hangs": "it took longer than",
    "exits": "SystemExit: 3",
    "dies": "it ended the process with exit code 0",
    "eats": "GiB of memory",
}
_SUBJECTS = {
    "observer": "zoo-faulty: its zoo_step_logged is switched off",
    "preview": "the preview left out",
    "evaluation": "step 2: plots of the evaluation left out",
    "plots": f"{PLOTS} left out",
    "retrospect": f"{RETROSPECT} left out",
    "baselines": f"{BASELINES} left out",
    "baseline": "baseline first left out",
}


def faulty_zoo(root: Path) -> Zoo:
    """A zoo with the core and the faulty plugin, its store in `root`, its catalogue empty."""
    host = PluginHost([EntryPoint("zoo-faulty", "zoo_toys.faulty", "zoo.plugins")])
    catalogue = root / "registry.yaml"
    if not catalogue.exists():
        root.mkdir(parents=True, exist_ok=True)
        write_registry(catalogue, [])
    return Zoo(host, Registry(host, Store(root), catalogue=catalogue, folder=root))


def _text(folder: Path) -> dict[str, Any]:
    words = [f"{'good' if number % 2 else 'bad'} word{number % 7} number{number}" for number in range(60)]
    rows = [f"{text},{text.split()[0]}" for text in words]
    (folder / "texts.csv").write_text("\n".join(["text,label", *rows]))
    return {
        "name": "bert_tiny.faulty",
        "model": {"name": "bert_tiny", "max_length": 16},
        "preprocessor": {"vocab_size": 200, "max_length": 16},
        "task": {"name": "text-classification"},
        "data": {"name": "labelled-text", "path": str(folder / "texts.csv")},
    }


def _image(folder: Path) -> dict[str, Any]:
    return {
        "name": "resnet_nano.faulty",
        "model": {"name": "resnet_nano", "img_size": 8},
        "preprocessor": {"img_size": 8},
        "task": {"name": "image-classification"},
        "data": {"name": "digits", "train_samples": 64},
    }


def _speech(folder: Path) -> dict[str, Any]:
    for label, pitch in (("low", 200), ("high", 2000)):
        (folder / label).mkdir()
        for number in range(10):
            (folder / label / f"{number}.wav").write_bytes(tone(pitch + 10 * number))
    return {
        "name": "wav2vec2_nano.faulty",
        "model": {"name": "wav2vec2_nano", "num_layers": 1, "hidden_size": 32, "intermediate_size": 64},
        "preprocessor": {"text": "none"},
        "task": {"name": "audio-classification"},
        "data": {
            "name": "labelled-speech",
            "path": str(folder),
            "test_fraction": 0.25,
            "validation_fraction": 0.25,
        },
    }


def _points(folder: Path) -> dict[str, Any]:
    return {
        "name": "plane_gan_tiny.faulty",
        "model": {"name": "plane_gan_tiny", "width": 16},
        "task": {"name": "point-generation"},
        "data": {"name": "plane-points", "samples": 200},
    }


MODALITIES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "text": _text,
    "image": _image,
    "speech": _speech,
    "points": _points,
}
"""The recipe over data that it writes into an empty folder, less its training."""


def faulty_recipe(modality: str, way: str, folder: Path) -> dict[str, Any]:
    """Four steps with an evaluation after every second; what hangs is waited for a few seconds."""
    folder.mkdir(parents=True)
    training = {"steps": 4, "batch_size": 8, "evaluate_every": 2, "save_every": 2, "log_every": 1}
    return {
        **MODALITIES[modality](folder),
        "training": {**training, "extras_timeout": 10.0 if way == "hangs" else 60.0},
    }


def amiss(zoo: Zoo, folder: Path, extra: str, way: str) -> list[str]:
    """What is not as it should be in a finished run one of whose extras has failed."""
    log = (folder / "log.txt").read_text()
    card = open_folder(folder).card
    name = card.full_name
    notes = [line for line in card.notes.splitlines() if "left out" in line]
    files = {path.name for path in (folder / "artifacts").iterdir()}
    made = Record(folder / "extras.jsonl").read().done
    best = card.training["best_step"]
    seen = [line for line in log.splitlines() if _SUBJECTS[extra] in line and _CAUSES[way] in line]
    [split] = {metric.split for metric in card.metrics}
    right = {
        "the log ends with finished": log.rstrip().endswith("finished"),
        "the log names the failure": bool(seen),
        "the card names the failure alone": len(notes) == (extra in AFTER)
        and all(_SUBJECTS[extra] in note and _CAUSES[way] in note for note in notes),
        "the card is registered": zoo.registry.find(name).card == card,
        "the checkpoint loads": load(name, zoo=zoo).card == card,
        "preview": ("000000000-first.txt" in files) == (extra != "preview"),
        "evaluation": ({"000000002-validation-shown.txt", "000000004-validation-shown.txt"} <= files)
        == (extra != "evaluation"),
        "plots": (f"{best:09d}-{split}-shown.txt" in files) == (extra != "plots"),
        "retrospect": ("000000004-last.txt" in files) == (extra != "retrospect"),
        "baseline": ("baseline first" in made) == (extra not in ("baseline", "baselines")),
        "other baselines": any(metric.baselines for metric in card.metrics) == (extra != "baselines"),
        "the curve": (folder / "curve.png").is_file(),
    }
    return [what for what, holds in right.items() if not holds]


def tone(pitch: float) -> bytes:
    """Half a second at 16 kHz."""
    time = np.arange(8_000) / 16_000
    samples = (8_000 * np.sin(2 * np.pi * pitch * time)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()

"""What every rank runs under torchrun: a bundled checkpoint of every modality is evaluated; the main rank prints the figures.

bundled_on_ranks.py FOLDER [BATCHES ...]
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from zoo_toys.faulty_runs import tone

from zoo_core import load, open_zoo
from zoo_core.config.settings import Training
from zoo_core.runs.measure import rows_to_measure
from zoo_core.tasks.evaluate import evaluate
from zoo_core.training.hardware import Hardware, destroy_process_group
from zoo_core.training.order import evaluation_plan

LEAST = 12
"""Samples of an evaluation: a Fréchet distance needs ten."""
_WORDS = "good bad film day never was the best of all i love hate it so much today tomorrow meh"


def _texts(folder: Path, labels: Sequence[str], count: int) -> Path:
    draws = np.random.default_rng(0)
    rows = [
        f"{' '.join(draws.choice(_WORDS.split(), 3 + number % 9))},{labels[number % len(labels)]}"
        for number in range(count)
    ]
    path = folder / "texts.csv"
    path.write_text("\n".join(["text,label", *rows]))
    return path


def _images(folder: Path, labels: Sequence[str], count: int) -> Path:
    from PIL import Image

    draws = np.random.default_rng(0)
    for number in range(count):
        buffer = io.BytesIO()
        pixels = draws.integers(0, 256, (4, 4), dtype=np.uint8).repeat(7, 0).repeat(7, 1)
        Image.fromarray(pixels).save(buffer, "PNG")
        _put(folder / "images" / labels[number % len(labels)] / f"{number:03d}.png", buffer.getvalue())
    return folder / "images"


def _sounds(folder: Path, labels: Sequence[str], count: int) -> Path:
    for number in range(count):
        _put(folder / "sounds" / labels[number % len(labels)] / f"{number:03d}.wav", tone(200.0 + 37 * number))
    return folder / "sounds"


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


BUNDLED: Mapping[str, Callable[[Path, Sequence[str], int], Path]] = {
    "bert_tiny.sentiment": _texts,
    "resnet_nano.fashion": _images,
    "wav2vec2_nano.languages": _sounds,
    "r3gan_nano.fashion_classes": _images,
}
"""One checkpoint of every modality, and what writes data with its labels."""


def figures(root: Path, numbers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Metrics by checkpoint and number of batches; the last batch is short by one."""
    hardware = Hardware(Training(steps=1, device="cpu"))
    own = root / os.environ.get("RANK", "0")
    zoo, found = open_zoo({"ZOO_HOME": str(own / "home")}), {}
    sizes = {batches: max(2, -(-LEAST // batches)) for batches in numbers}
    for name, write in BUNDLED.items():
        loaded = load(name, zoo=zoo)
        folder = own / name
        folder.mkdir(parents=True)
        labels = [label for label in loaded.labels if "/" not in label]  # as names of folders
        path = write(folder, labels, max(batches * size for batches, size in sizes.items()))
        rows = rows_to_measure(
            loaded.card, loaded.provided_task, str(path), zoo.host, split=None, columns={}, settings={}
        )
        samples = rows.data.samples(rows.split)
        for batches, size in sizes.items():
            dataset = loaded.task.dataset([samples[place] for place in range(batches * size - 1)], train=False)
            assert len(evaluation_plan(dataset, batch_size=size, batch_cost=None)) == batches
            measured = evaluate(loaded.task, dataset, hardware=hardware, batch_size=size)
            found[f"{name} {batches}"] = measured.metrics
    return found


def main() -> None:
    """Evaluate, and print on one rank."""
    torch.set_num_threads(1)
    made: Any = figures(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
    if destroy_process_group():
        print(json.dumps(made))


if __name__ == "__main__":
    main()

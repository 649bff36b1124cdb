"""Recordings whose header is sound and whose later frames are not: found when they are drawn, named, and left out where asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from soundfile import write

from zoo_core import DataError, Zoo, load_recipe, open_zoo
from zoo_core.testing import Cursor, GlobalBatch, Hardware, RunComponents, prepare, training_batches


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return open_zoo()


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Half a second to one of noise each."""
    folder = tmp_path / "spoken"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for number in range(12):
        write(folder / f"{number}.flac", 0.1 * draws.standard_normal(int(draws.integers(8_000, 16_000))), 16_000)
        (folder / f"{number}.txt").write_text("one two")
    return folder


def spoil(path: Path) -> Path:
    """Overwrite what lies behind the middle."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 :] = bytes(len(whole) - len(whole) // 2)
    path.write_bytes(whole)
    return path


def prepared(zoo: Zoo, spoken: Path, **data: Any) -> RunComponents:
    resolved = load_recipe(
        {
            "name": "wav2vec2_tiny.spoiled",
            "model": {
                "name": "wav2vec2_tiny", "conv_widths": [8] * 7, "hidden_size": 16, "num_layers": 1, "num_heads": 2,
                "intermediate_size": 32, "position_kernel": 8, "position_groups": 4, "codes": 8, "code_size": 8,
            },
            "task": {"name": "ctc-speech-recognition", "augment": {"speeds": [0.9, 1.0, 1.1], "noise": 0.5}},
            "data": {
                "name": "transcribed-speech", "path": str(spoken), "validation_fraction": 0.0, "test_fraction": 0.0,
                **data,
            },
            "optimizer": {"lr": 1.0e-3},
            "training": {"steps": 4, "batch_size": 4, "device": "cpu"},
        },
        [],
        zoo.host,
    )  # fmt: skip
    return prepare(resolved, zoo.host, Hardware(resolved.training), None, None)


def epoch(parts: RunComponents, workers: int) -> list[GlobalBatch]:
    stream = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=workers, pin=False)
    return [next(stream) for _ in range(parts.plan.batches())]


def test_a_damaged_one_ends_training_in_the_same_words_with_and_without_workers(zoo: Zoo, spoken: Path) -> None:
    bad, said = spoil(spoken / "4.flac"), set()
    parts = prepared(zoo, spoken)
    for workers in (0, 1):
        with pytest.raises(DataError) as caught:
            epoch(parts, workers)
        said.add((caught.value.message, caught.value.hint))
    ((message, _),) = said
    assert message.startswith(f"{bad}: ") and "\n" not in message


def test_one_that_is_damaged_or_deleted_meanwhile_is_left_out(zoo: Zoo, spoken: Path) -> None:
    parts = prepared(zoo, spoken, bad="skip")
    bad = {spoil(spoken / "4.flac"), spoken / "7.flac"}
    (spoken / "7.flac").unlink()
    here, there = epoch(parts, 0), epoch(parts, 1)
    assert {bad.what.split(": ")[0] for step in here for bad in step.bad} == set(map(str, bad))
    for one, other in zip(here, there, strict=True):
        assert one.bad == other.bad
        first, second = one.micro_batches[0], other.micro_batches[0]
        assert all(torch.equal(first[name], second[name]) for name in first if isinstance(first[name], torch.Tensor))

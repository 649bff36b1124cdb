"""BERT with a low-rank adapter: what is stored, and that a new process, an export and a full child get the whole model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo_core import Zoo, load, open_checkpoint, open_zoo, train
from zoo_core.cli import main

TEXTS = ["the crew was great", "a terrible delay", "seat 12"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deltas")


@pytest.fixture(scope="module")
def zoo(home: Path) -> Zoo:
    """With `bert_tiny.delta`, three labels on the bundled classifier of two."""
    zoo = open_zoo({"ZOO_HOME": str(home / "home")})
    rows = "".join(f"{word} {number},{word}\n" for number in range(20) for word in ("good", "bad", "odd"))
    (home / "texts.csv").write_text("text,label\n" + rows)
    recipe = {
        "name": "bert_tiny.delta",
        "init": "bert_tiny.sentiment",
        "adapter": {"name": "lora", "targets": ["query", "value"]},
        "task": {"name": "text-classification"},
        "data": {"name": "labelled-text", "path": str(home / "texts.csv"), "split_rule": "stratified"},
        "optimizer": {"lr": 1e-2},
        "training": {"steps": 3, "batch_size": 8, "baselines": "off"},
    }
    train(recipe, folder=home / "run", zoo=zoo)
    return zoo


def test_some_kilobytes_are_stored_and_the_extras_of_the_run_are_made(zoo: Zoo, home: Path) -> None:
    card = open_checkpoint("bert_tiny.delta", zoo.registry).card
    assert card.weights.size < 40_000 and card.adapter is not None
    # A and B of two layers' query and value, 2 x 2 x 2 x 8 x 128, and the new head.
    assert card.adapter.parameters == 8192 + 3 * 129
    assert "left out" not in (home / "run" / "log.txt").read_text()


def test_a_new_process_answers_alike_and_needs_no_training(zoo: Zoo, home: Path) -> None:
    code = (
        "import json, sys, zoo_core\n"
        "found = zoo_core.load('bert_tiny.delta').predict(json.loads(sys.argv[1]))\n"
        "assert 'zoo_core.training.loop' not in sys.modules\n"
        "print(json.dumps(found))"
    )
    environ = {"PATH": "/usr/bin:/bin", "ZOO_HOME": str(home / "home"), "HOME": str(home), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", code, json.dumps(TEXTS)]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, cwd=home, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == load("bert_tiny.delta", zoo=zoo).predict(TEXTS)


def test_an_export_and_a_bare_encoder_hold_the_merged_weights(
    zoo: Zoo, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(home / "home"))
    monkeypatch.chdir(home)
    assert main(["export", "bert_tiny.delta", "folder"]) == 0
    assert (home / "folder" / "model.safetensors").stat().st_size > 2_000_000
    assert main(["import", "folder", "--model", "bert", "--name", "bert_tiny.whole"]) == 0
    assert main(["verify", "bert_tiny.delta"]) == 0 and main(["show", "bert_tiny.delta"]) == 0
    shown = capsys.readouterr().out
    assert "base: bert_tiny.sentiment@sha256:" in shown and "adapter: zoo-core/lora" in shown
    assert main(["list", "bert_tiny.delta"]) == 0 and "(8.6 k own)" in capsys.readouterr().out
    whole, delta = (open_checkpoint(name, zoo.registry).tensors() for name in ("bert_tiny.whole", "bert_tiny.delta"))
    assert whole.keys() == delta.keys() and all(torch.equal(whole[name], delta[name]) for name in whole)
    embedded = load("bert_tiny.delta", task="feature-extraction", zoo=zoo).predict(TEXTS)
    base = load("bert_tiny.sentiment", task="feature-extraction", zoo=zoo).predict(TEXTS)
    assert embedded[0].keys() == base[0].keys() and embedded != base


def test_another_head_takes_the_place_of_the_base_s(zoo: Zoo, home: Path) -> None:
    bare = {
        "name": "bert_tiny.masked",
        "init": "bert_tiny.sentiment",
        "adapter": {"name": "lora", "targets": ["query"], "r": 2},
        "task": {"name": "fill-mask"},
        "data": {"name": "text", "path": str(home / "a.txt")},
        "training": {"steps": 1, "batch_size": 2, "extras": "off"},
    }
    (home / "a.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 50)
    card = train(bare, folder=home / "masked", zoo=zoo).card
    assert card is not None and card.adapter is not None
    assert card.adapter.dropped[-2:] == ("classifier.bias", "classifier.weight")
    assert load("bert_tiny.masked", zoo=zoo).predict(["the quick [MASK] fox"])

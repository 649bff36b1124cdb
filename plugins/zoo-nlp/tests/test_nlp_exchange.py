"""Out to a Transformers folder and back in, with the bundled checkpoint and through the registry."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from zoo_core import (
    ArchMismatch,
    StoreError,
    UnsafeFormat,
    UsageError,
    Zoo,
    export,
    import_folder,
    load,
    open_zoo,
    train,
)

TEXTS = ["thank you all", "my train is late again"]


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path / "home")})


def test_a_checkpoint_goes_out_opens_in_transformers_and_comes_back_equal(zoo: Zoo, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = export("bert_tiny.sentiment", tmp_path / "out", zoo=zoo)
    theirs, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    ours = load("bert_tiny.sentiment", zoo=zoo)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        probabilities = theirs.eval()(**batch).logits.softmax(-1)
    for row, answer in zip(probabilities, ours.predict(TEXTS), strict=True):
        found = {theirs.config.id2label[number]: float(p) for number, p in enumerate(row)}
        assert found == pytest.approx(answer["scores"], abs=1e-5)
    card = import_folder(folder, model="bert", name="bert_tiny.back", zoo=zoo)
    assert card.labels == ours.labels and card.parameters == ours.card.parameters
    again = load("bert_tiny.back", zoo=zoo)
    assert [a["scores"] for a in again.predict(TEXTS)] == [pytest.approx(a["scores"]) for a in ours.predict(TEXTS)]
    with pytest.raises(StoreError, match="exists"):
        export("bert_tiny.sentiment", folder, zoo=zoo)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(ArchMismatch):
        import_folder(folder, model="bert", name="bert_tiny.wrong", zoo=zoo)


def test_a_folder_with_pickled_weights_is_refused_unopened(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\n")
    with pytest.raises(UnsafeFormat):
        import_folder(tmp_path, model="bert", name="bert_tiny.bad", zoo=zoo)


def test_no_answer_comes_from_weights_that_the_checkpoint_lacks(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no head for fill-mask"):
        load("bert_tiny.sentiment", task="fill-mask", zoo=zoo)
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(f"{TEXTS[number % 2]} and {number}" for number in range(12)) + "\n")
    recipe = {
        "name": "bert_tiny.lines",
        "model": {"name": "bert_tiny", "hidden_size": 8, "num_heads": 2, "num_layers": 1, "intermediate_size": 8},
        "task": {"name": "fill-mask"},
        "data": {"name": "text", "path": str(lines)},
        "preprocessor": {"vocab_size": 60, "max_length": 16, "min_frequency": 1},
        "training": {"steps": 1, "batch_size": 4, "device": "cpu"},
    }
    train(recipe, folder=tmp_path / "run", zoo=zoo)
    loaded = load("bert_tiny.lines", task="feature-extraction", zoo=zoo)
    assert all(math.isfinite(value) for value in loaded.predict(TEXTS[0])["embedding"])
    # Transformers' encoder ends in a pooler that the mean of the states never looks at.
    assert loaded.adaptation.initialised and loaded.model.pooler.dense.weight.isnan().all()
    with pytest.raises(UsageError, match="has no head for text-classification"):
        load("bert_tiny.lines", task="text-classification", zoo=zoo)


@pytest.mark.parametrize("task", [None, "feature-extraction"])
def test_it_is_exported_as_a_program_of_texts_of_any_length(zoo: Zoo, tmp_path: Path, task: str | None) -> None:
    folder = export("bert_tiny.sentiment", tmp_path / "out", format="torch-program", task=task, zoo=zoo)
    assert {path.name for path in folder.iterdir()} >= {"program.pt2", "program.json", "tokenizer.json"}
    record = json.loads((folder / "program.json").read_text())
    ids = {"dtype": "int64", "shape": [None, None]}
    assert record["inputs"] == {"input_ids": ids, "attention_mask": ids}
    assert record["largest_difference"] <= 1e-6 * record["largest_output"]

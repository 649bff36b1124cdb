"""Models of somebody else's plugin, as its author writes them, learn and answer with zoo-nlp's tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from zoo_core import PluginError, RecipeError, Zoo, load, load_recipe, open_zoo, train
from zoo_core.testing import on_path, write_plugin

PLUGIN = '''
from dataclasses import dataclass
from zoo_core import DataSpec, ModelSpec, SampleType, hookimpl

zoo_api = (2, 0)

@hookimpl
def zoo_data():
    review = SampleType(name="text", fields=("text", "label", "author"))
    return [DataSpec(name="reviews", summary="books", target="zoo_words.model:Reviews", samples=review),
            DataSpec(name="letters", summary="mail", target="zoo_words.model:Reviews",
                     samples=SampleType(name="text", fields=("text", "author")))]

@dataclass(frozen=True, kw_only=True)
class BagConfig:
    """A bag of words."""
    vocab_size: int = 100

@hookimpl
def zoo_models():
    return [ModelSpec(name="bag", summary="words", target="zoo_words.model:Bag", config=BagConfig, sizes={"tiny": {}},
                      offers=("text-encoder", "masked-text-model"), head=("classifier.",)),
            ModelSpec(name="bigram", summary="words", target="zoo_words.model:Bigram", config=BagConfig, sizes={"tiny": {}},
                      offers="causal-text-model")]
'''
MODEL = """
from typing import NamedTuple
from torch import nn
from zoo_core import Data

class Bag(nn.Module):
    def __init__(self, config, head):
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, 16)
        size = config.vocab_size if head.task == "fill-mask" else head.labels
        self.classifier = nn.Linear(16, size) if size else None

    def forward(self, input_ids, attention_mask=None, places=None):
        states = self.words(input_ids)
        if places is not None:
            return self.classifier((states + states.mean(1, keepdim=True)).flatten(0, 1)[places])
        if not self.classifier:
            return states
        return self.classifier((states * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True))

class Review(NamedTuple):
    label: str
    author: str
    text: str

class Reviews(Data):
    labels = ("bad", "good")

    def __init__(self, config):
        self.reviews = [Review(label, "Ann", f"{label} {number}") for number in range(16) for label in self.labels]

    def splits(self):
        return ("train", "test")

    def samples(self, split):
        return self.reviews

    def digest(self):
        return "0" * 64

class Bigram(nn.Module):
    def __init__(self, config, head):
        super().__init__()
        self.next = nn.Embedding(config.vocab_size, config.vocab_size)

    def forward(self, input_ids):
        return self.next(input_ids)
"""
TEXTS = {"warm": "the sun is warm on the sand", "cold": "the snow is cold in the wood"}


@contextmanager
def zoo_with(folder: Path, model: str = MODEL) -> Iterator[Zoo]:
    write_plugin(folder / "site", "zoo-words", PLUGIN, modules={"model.py": model})
    rows = [f"{text} {number},{label}" for number in range(30) for label, text in TEXTS.items()]
    (folder / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    with on_path(folder / "site"):
        yield open_zoo({"ZOO_HOME": str(folder / "home")})


def recipe(folder: Path, model: str, task: str, reader: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": f"{model}.{task.replace('-', '_')}", "model": {"name": model}, "task": {"name": task},
        "data": {"name": reader, "path": str(folder / "texts.csv")},
        "preprocessor": {"vocab_size": 300, "max_length": 16}, "optimizer": {"lr": 0.1},
        "training": {"steps": 30, "batch_size": 8, "device": "cpu", "baselines": "off", "extras": "off"}, **changes,
    }  # fmt: skip


def test_a_model_that_gives_logits_classifies_embeds_and_fills_masks(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "bag_tiny", "text-classification", "labelled-text")
        asked["data"]["split_rule"] = "stratified"
        assert train(asked, folder=tmp_path / "run", zoo=zoo).metrics["accuracy"] > 0.9
        classifier = load("bag_tiny.text_classification", zoo=zoo)
        assert [one["label"] for one in classifier.predict(list(TEXTS.values()))] == list(TEXTS)
        embedded = load("bag_tiny.text_classification", task="feature-extraction", zoo=zoo).predict(["the sun"])
        assert len(embedded[0]["embedding"]) == 16

        found = train(recipe(tmp_path, "bag_tiny", "fill-mask", "text"), folder=tmp_path / "masks", zoo=zoo)
        assert found.metrics["perplexity"] < 250, "of 300 tokens"
        (answer,) = load("bag_tiny.fill_mask", zoo=zoo).predict(["the sun is [MASK] on the sand"])
        assert len(answer["candidates"][0]) == 5


def test_a_model_without_a_cache_writes_on(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        found = train(recipe(tmp_path, "bigram_tiny", "text-generation", "text"), folder=tmp_path / "run", zoo=zoo)
        assert found.metrics["perplexity"] < 60, "of 300 tokens"
        writer = load("bigram_tiny.text_generation", zoo=zoo)
        (answer,) = writer.predict(["the sun is"], max_new_tokens=8, temperature=0)
        assert (
            answer["text"] and "".join(writer.stream("the sun is", max_new_tokens=8, temperature=0)) == answer["text"]
        )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("attention_mask=None, places=None", "places=None"), r"zoo-nlp/text-classification needs text-encoder: zoo-words/bag: "
         r"expected forward\(input_ids \(B, T\), attention_mask.*a Bag without forward.*attention_mask"),
        (("else head.labels", "else head.labels + 1"), r"forward: expected logits of shape \(8, 2\), found \(8, 3\)"),
        (("return self.classifier((states *", "return list((states *"), "expected a tensor, or an output with logits, found list"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_keep_is_named_before_the_first_step(
    wrong: tuple[str, str], told: str, tmp_path: Path
) -> None:
    assert wrong[0] in MODEL
    with zoo_with(tmp_path, MODEL.replace(*wrong)) as zoo, pytest.raises(PluginError, match=told):
        train(recipe(tmp_path, "bag_tiny", "text-classification", "labelled-text"), folder=tmp_path / "run", zoo=zoo)


def test_a_task_whose_interface_a_model_does_not_offer_says_what_it_needs(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "bigram_tiny", "text-classification", "labelled-text")
        needed = (
            r"bigram has no head for the task zoo-nlp/text-classification, which needs text-encoder: "
            r"forward\(input_ids, attention_mask\) gives logits.*; bigram offers causal-text-model"
        )
        with pytest.raises(RecipeError, match=needed):
            load_recipe(asked, [], zoo.host)


def test_samples_of_another_plugin_with_fields_to_spare_are_learned_from(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "bag_tiny", "text-classification", "reviews")
        asked["data"] = {"name": "reviews"}
        assert train(asked, folder=tmp_path / "run", zoo=zoo).metrics["accuracy"] > 0.9


def test_samples_that_lack_what_a_task_reads_are_refused_before_a_file_is_read(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "bag_tiny", "text-classification", "letters")
        asked["data"] = {"name": "letters"}
        lacking = r"reads text \(text, label\); zoo-words/letters has text \(text, author\) without label"
        with pytest.raises(RecipeError, match=lacking) as caught:
            load_recipe(asked, [], zoo.host)
        data, tasks = caught.value.hint.splitlines()
        assert data.startswith("data for this task: zoo-nlp/labelled-text") and "zoo-words/reviews" in data
        assert tasks.startswith("tasks for this data: ") and "zoo-nlp/fill-mask" in tasks

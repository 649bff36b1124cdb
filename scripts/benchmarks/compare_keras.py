"""The Keras tutorial's text classifier, trained by Keras and by the zoo on the same tweets, with three seeds each.

Both see the same training, validation and test texts, lower-case words, a vocabulary of 10,000, at most 100 words,
batches of 32 and Adam at 1e-3, and keep what was best on the validation split. Keras trains twice: at a constant rate,
as the tutorial does, and with the recipe's linear decay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import RECORDS, record

from zoo_core import load_recipe, open_zoo, train
from zoo_core.data import data_root

ROOT = RECORDS.parent
RECIPE, DATA = "lstm_small_sentiment", "tweets"
EPOCHS = {"constant": 4, "linear": 2}
"""Epochs that Keras chooses from: the recipe's two where the rate falls to zero, some more where it doesn't."""


def main() -> int:
    """Train what is missing, compare and write the record."""
    parser = argparse.ArgumentParser(prog="scripts/compare-keras", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default 0 1 2)")
    parser.add_argument("--python", default=str(ROOT / ".venv-keras/bin/python"), help="Python that has Keras")
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    folder = data_root(os.environ) / DATA
    if not (folder / "train.jsonl").is_file():
        sys.exit(f"the data is not on this machine; run: zoo data fetch {DATA}")
    theirs = {
        f"keras, {schedule} rate": [by_keras(options.python, folder, seed, schedule) for seed in options.seeds]
        for schedule in EPOCHS
    }
    found = {"zoo": ours(options.seeds), **theirs}
    table = {name: summary(runs) for name, runs in found.items()}
    for name, row in table.items():
        figures = "  ".join(f"{key} {value['mean']:.4f} ± {value['sd']:.4f}" for key, value in row.items())
        print(f"{name:<24}{figures}  ({len(found[name])} seeds)")
    if not options.no_record:
        body = {"recipe": RECIPE, "data": DATA, "split": "test", "summary": table, "runs": found}
        path = record("keras-tutorial", body)
        print(f"written: {path.parent.name}/{path.name}")
    return 0


def by_keras(python: str, folder: Path, seed: int, schedule: str) -> dict[str, Any]:
    """One training in Keras' own environment."""
    print(f"keras: seed {seed}, {schedule} rate ...", flush=True)
    script = Path(__file__).with_name("keras_lstm.py")
    options = ["--seed", str(seed), "--schedule", schedule, "--epochs", str(EPOCHS[schedule])]
    child = subprocess.run([python, str(script), str(folder), *options], capture_output=True, text=True, check=False)
    if child.returncode:
        sys.exit(f"keras failed:\n{child.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    found["words_of_vocabulary"] = len(found.pop("vocabulary"))
    return found


def ours(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The recorded runs of `scripts/claims tutorial` where they are of these seeds, else new ones."""
    claim = RECORDS / "claims" / "tutorial.json"
    if claim.is_file():
        runs = json.loads(claim.read_text())["runs"]
        if [run["seed"] for run in runs] == list(seeds):
            return [{"seed": run["seed"], "parameters": run["parameters"], **run["metrics"]} for run in runs]
    with tempfile.TemporaryDirectory() as folder:
        zoo = open_zoo({**os.environ, "ZOO_HOME": folder})
        found = []
        for seed in seeds:
            print(f"zoo: seed {seed} ...", flush=True)
            recipe = load_recipe(RECIPE, [f"training.seed={seed}"], zoo.host)
            result = train(recipe, folder=Path(folder) / f"run-{seed}", zoo=zoo)
            assert result.card is not None
            metrics = {name: round(value, 4) for name, value in result.metrics.items()}
            seconds = round(result.seconds, 1)
            found.append({"seed": seed, "parameters": result.card.parameters, "seconds": seconds, **metrics})
        return found


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds; the latter is 0 for a single one."""
    return {
        name: {
            "mean": round(statistics.mean(run[name] for run in runs), 4),
            "sd": round(statistics.stdev(run[name] for run in runs) if len(runs) > 1 else 0.0, 4),
        }
        for name in ("accuracy", "loss")
    }


if __name__ == "__main__":
    sys.exit(main())

"""Trains the text classifier of the classic Keras tutorial on prepared tweets. Runs in .venv-keras and imports nothing of the zoo.

The tutorial's way: TextVectorization, Embedding, LSTM, Dropout, Dense with softmax, Adam; the epoch with the best
accuracy on the validation split is kept. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CLASSES = ("negative", "positive")
BATCH, RATE, VOCABULARY, LENGTH = 32, 1e-3, 10_000, 100


def main() -> None:
    """Train with one seed and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train.jsonl, validation.jsonl and test.jsonl")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5, help="epochs to choose from (default 5)")
    parser.add_argument("--schedule", choices=("constant", "linear"), default="constant", help="learning rate")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(options.seed)
    splits = {split: read(options.data / f"{split}.jsonl") for split in ("train", "validation", "test")}
    vectorize = layers.TextVectorization(max_tokens=VOCABULARY)
    vectorize.adapt(splits["train"][0])
    encoded = {split: (vectorize(texts).numpy()[:, :LENGTH], labels) for split, (texts, labels) in splits.items()}
    steps = options.epochs * (len(splits["train"][0]) // BATCH)
    model = network(RATE if options.schedule == "constant" else linear(steps))
    best = keras.callbacks.EarlyStopping(
        monitor="val_accuracy", mode="max", patience=options.epochs, restore_best_weights=True
    )
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
    history = model.fit(
        *encoded["train"],
        batch_size=BATCH,
        epochs=options.epochs,
        validation_data=encoded["validation"],
        callbacks=[best],
        verbose=0,
    ).history
    # Restored only where training stopped early; the best epoch's weights are in the callback either way.
    model.set_weights(best.best_weights)
    found = {
        "seed": options.seed,
        "schedule": options.schedule,
        "best_epoch": best.best_epoch + 1,
        "validation_accuracy": [round(value, 4) for value in history["val_accuracy"]],
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, 1),
        "parameters": model.count_params(),
        "samples": {split: len(texts) for split, (texts, _) in splits.items()},
        **measure(model, *encoded["test"]),
        "vocabulary": vectorize.get_vocabulary(include_special_tokens=False),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__},
    }
    print(json.dumps(found))


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Texts and class numbers of the two classes."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [row for row in rows if row["label"] in CLASSES]
    return [row["text"] for row in kept], np.array([CLASSES.index(row["label"]) for row in kept])


def network(rate: Any) -> Any:
    """The tutorial's network; padding is masked, as it lies behind the text."""
    model = keras.Sequential(
        [
            layers.Embedding(VOCABULARY, 64, mask_zero=True),
            layers.LSTM(128),
            layers.Dropout(0.5),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def linear(steps: int) -> Any:
    """A learning rate that falls in a line to zero, as in the zoo's recipe."""
    return keras.optimizers.schedules.PolynomialDecay(RATE, steps, end_learning_rate=0.0)


def measure(model: Any, ids: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy and mean loss."""
    loss, accuracy = model.evaluate(ids, labels, batch_size=256, verbose=0)
    return {"accuracy": round(float(accuracy), 4), "loss": round(float(loss), 4)}


if __name__ == "__main__":
    main()

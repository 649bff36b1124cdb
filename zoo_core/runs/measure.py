"""Measures a checkpoint by name: finds the rows to measure on, and evaluates them beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core.config.components import open_data
from zoo_core.config.finetune import data_choice
from zoo_core.contract.data import Data
from zoo_core.contract.schema import from_data
from zoo_core.contract.task import Task
from zoo_core.data.options import SPLIT_SETTINGS
from zoo_core.data.splits import WHOLE
from zoo_core.errors import DataError, UnknownName, ZooError
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.registry.card import Card
from zoo_core.registry.records import Metric
from zoo_core.tasks.baselines import left_out, measured_baselines, parts_seen
from zoo_core.tasks.evaluate import artifacts, evaluate, intervals
from zoo_core.training.hardware import Hardware

_PATIENCE = 180.0
"""Seconds that a baseline or the plots of an evaluation may take."""


class Evaluation(NamedTuple):
    """What an evaluation found."""

    metrics: list[Metric]
    """Each with its baselines."""
    artifacts: dict[str, bytes]
    """Files that show what was found, by name."""
    notes: tuple[str, ...]
    """Which rows were measured, and what was left out and why: a baseline that needs more than there is, a plot."""


def measure(task: Task, rows: Rows, hardware: Hardware, *, batch_size: int) -> Evaluation:
    """Metrics of a task on rows; a baseline or a plot that can't be made is left out with a note."""
    dataset = task.dataset(rows.data.samples(rows.split), train=False)
    found = evaluate(task, dataset, hardware=hardware, batch_size=batch_size)
    made = artifacts(task, found, seconds=_PATIENCE)
    baselines, problems = measured_baselines(task, rows.data, rows.split, seconds=_PATIENCE)
    if made.problem:
        problems = (*problems, left_out("plots", made.problem))
    known = intervals(task, found)
    if known.problem:
        problems = (*problems, left_out("intervals", known.problem))
    instruments, ends = task.metric_checkpoints(), known.value or {}
    metrics = [
        Metric(
            name=metric,
            value=value,
            data=rows.id,
            split=rows.split,
            samples=found.samples,
            baselines={name: figures[metric] for name, figures in baselines.items() if metric in figures},
            measured_with=instruments.get(metric, ""),
            interval=ends.get(metric),
            better=task.better(metric),
        )
        for metric, value in found.metrics.items()
    ]
    seen = parts_seen(rows.data, rows.split) if baselines else ()
    return Evaluation(metrics, made.value or {}, (*rows.notes, *dataset.notices, *seen, *problems))


_USUAL = "test"


class Rows(NamedTuple):
    """What is measured."""

    id: str
    """Full name of the data set or reader."""
    data: Data
    """Has the measured split, and a split `train` only where the model was trained on it."""
    split: str
    notes: tuple[str, ...]
    """What the user should know: rows left out, which split it is, why there are no baselines."""


class _Measured(Data):
    """The split that is measured, and what baselines learn from."""

    def __init__(self, data: Data, split: str, train: Sequence[Any] | None) -> None:
        self.labels = data.labels
        self._data = data
        self._parts = ({} if train is None else {"train": train}) | {split: data.samples(split)}

    def splits(self) -> tuple[str, ...]:
        """Names of the two."""
        return tuple(self._parts)

    def samples(self, split: str) -> Sequence[Any]:
        """The samples of one of them."""
        return self._parts[split]

    def digest(self) -> str:
        """That of all the data."""
        return self._data.digest()


def rows_to_measure(
    card: Card,
    task: RegisteredComponent,
    text: str,
    host: PluginHost,
    *,
    split: str | None,
    columns: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Rows:
    """The rows of what a user named, a data set or a file: those of `split`; without it all rows of data that has no splits
    of its own, else its test split.

    Data that the model was trained on is split as it was then, and its test split is measured, as the rest is known to the
    model. Raises `UnknownName` for a split that the data doesn't have.
    """
    chosen = {**data_choice(task, text, columns, host), **settings}
    provided = host.find("data", chosen.pop("name"))
    divisible = any(field.name == "split_rule" for field in fields(provided.config))
    if divisible and (split == WHOLE or (split is None and not set(settings) & set(SPLIT_SETTINGS))):
        chosen["split_rule"] = "none"
    stored = _stored(card, provided, chosen)
    known = {} if stored is None or not _same_place(stored, chosen) else _as_trained(stored, chosen, settings)
    data = _opened(provided, {**known, **chosen}, host)
    trained = stored is not None and _trained_on(card, provided, data)
    notes: tuple[str, ...] = ()
    if stored is not None and trained and split != WHOLE:
        whole = WHOLE in data.splits()
        data = _opened(provided, _as_trained(stored, chosen, settings), host)
        split = split or _default(data)
        if whole:
            notes = (
                f"{card.name} was trained on this data: its {split} split is measured, --split {WHOLE} measures all",
            )
    split = split or _default(data)
    if split not in data.splits():
        raise UnknownName("split", split, data.splits(), where=provided.id)
    whole = trained and card.data is not None and data.digest() == card.data.digest
    train, reason = _to_learn_from(data, whole, card, host)
    return Rows(provided.id, _Measured(data, split, train), split, (*data.notices, *notes, *reason))


def _opened(provided: RegisteredComponent, values: Mapping[str, Any], host: PluginHost) -> Data:
    return open_data(provided, from_data(provided.config, dict(values), where="data"), host)


def _stored(card: Card, provided: RegisteredComponent, chosen: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings that the model's training gave to the same reader, of several parts to the one of the same place."""
    whole: Mapping[str, Any] = (card.recipe or {}).get("data", {})
    parts = [{key: value for key, value in part.items() if key != "weight"} for part in whole.get("parts", ())]
    found = [dict(values) for values in (whole, *parts) if values.get("name", "") == provided.id]
    for values in found:
        del values["name"]
    return next((values for values in found if _same_place(values, chosen)), found[0] if found else None)


def _trained_on(card: Card, provided: RegisteredComponent, data: Data) -> bool:
    """Whether the model was trained on this data, or on several of which it is one."""
    if card.data is None:
        return False
    return data.digest() == card.data.digest or f"{provided.id}@sha256:{data.digest()}" in card.data.source


def _same_place(stored: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    """Whether the training's settings name the very files, so that columns and the like needn't be named again."""
    places = [values.get("path") for values in (stored, chosen)]
    try:
        return all(places) and Path(str(places[0])).samefile(str(places[1]))
    except (OSError, ValueError):
        return False


def _as_trained(stored: Mapping[str, Any], chosen: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of training, with what the user says now; the same files go by the paths that are given now."""
    if stored.get("train"):
        return {**stored, **settings}
    return {**stored, **{key: value for key, value in chosen.items() if key != "split_rule"}, **settings}


def _default(data: Data) -> str:
    names = data.splits()
    return names[0] if len(names) == 1 else _USUAL


def _to_learn_from(
    data: Data, trained: bool, card: Card, host: PluginHost
) -> tuple[Sequence[Any] | None, tuple[str, ...]]:
    """The training samples that the model had, or why baselines can't have them."""
    if trained:
        return (data.samples("train"), ()) if "train" in data.splits() else (None, ())
    try:
        return _training_samples(card, host), ()
    except ZooError as error:
        return None, (f"no baselines: they would learn from what {card.name} was trained on, but {error.message}",)


def _training_samples(card: Card, host: PluginHost) -> Sequence[Any]:
    values = dict((card.recipe or {}).get("data", {}))
    if card.data is None or not isinstance(values.get("name"), str):
        raise DataError("its card doesn't say what that was")
    data = _opened(host.find("data", values.pop("name"), [card.plugin]), values, host)
    if data.digest() != card.data.digest:
        raise DataError("that has changed since")
    return data.samples("train")

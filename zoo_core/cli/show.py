"""`zoo show`: the card of a checkpoint, or an architecture."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from zoo_core.card import Card, Metric, card_to_data, looks_like_path
from zoo_core.checkpoint import open_folder
from zoo_core.cli.components import explain, known_names
from zoo_core.cli.listing import architecture_rows, left_out
from zoo_core.cli.render import Output, count, measured_with, metric_rows, plain_value, question, size
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import UnknownName, ZooError, nearest
from zoo_core.inputs import expanded
from zoo_core.layers import Entry
from zoo_core.plugins import NamedModel, PluginHost, model_name
from zoo_core.schema import build, to_data


def show(arguments: Namespace, session: Session) -> Answer:
    """The checkpoint of that name or path, or else the architecture. Raises `UnknownName` with the nearest of both."""
    name = arguments.name
    if looks_like_path(name) and (entry := _folder(name)):
        return _checkpoint(entry, name, session)
    models = {row["name"] for row in architecture_rows(session.host)}
    if name in models:
        return _architecture(session.host.find_model(name))
    try:
        entry = session.registry.lookup(name)
        return _checkpoint(entry, session.registry.names().use(entry), session)
    except UnknownName as unknown:
        if "@" in name or "." in name:
            raise
        if found := explain(name, session.host):
            return found
        try:
            return _architecture(session.host.find_model(name))
        except UnknownName:
            families = {provided.spec.name for provided in session.host.all("model")}
            cards = {entry.card.name for entry in session.registry.cards()}
            valid = cards | models | families | known_names(session.host)
            hint = "\n".join([nearest(name, valid), *left_out(session.host.warnings)])
            raise UnknownName("checkpoint, architecture or component", name, valid, hint=hint) from unknown


def _folder(name: str) -> Entry | None:
    """The checkpoint in a folder of that name; None where there is no such folder, as for `plugin/name`."""
    folder = expanded(name.removeprefix("file:"))
    if not folder.is_dir():
        return None
    return Entry(card=open_folder(folder).card, layer="folder", where=str(folder))


def _checkpoint(entry: Entry, use: str, session: Session) -> Answer:
    """A checkpoint's card; `use` is what to ask for it by."""
    card, host = entry.card, session.host
    options = prediction_options(host, card)
    document = {
        **card_to_data(card),
        "layer": entry.layer,
        "where": entry.where,
        "available": entry.available,
        "why": entry.why,
        "options": options,
    }

    def show(output: Output) -> None:
        output.pairs(_facts(entry))
        _section(output, "config", {key: plain_value(value) for key, value in card.config.items()})
        if card.metrics:
            _title(output, "metrics")
            for (data, split), rows in _by_split(card).items():
                output.line(f"on {data}, split {split}:")
                output.table(*metric_rows(rows))
            for line in measured_with(card.metrics):
                output.line(line)
        _title(output, "files")
        output.table(["file", "size", "sha256"], [[file.path, size(file.size), file.sha256] for file in card.files])
        _section(output, "training", {key: plain_value(value) for key, value in card.training.items()})
        _section(output, "environment", dict(card.environment))
        _section(output, "options", {key: _default(value) for key, value in options.items()})

    notes = [*session.registry.notes]
    if entry.available:
        notes.append(f"use it: {_next_step(use, card, host)}")
    return Answer(document=lambda: document, show=show, notes=tuple(notes))


def _next_step(name: str, card: Card, host: PluginHost) -> str:
    try:
        return question(name, host.find("task", card.task, [card.plugin]).spec)
    except ZooError:
        return f"zoo finetune {name} --task TASK --data DATA"


def _facts(entry: Entry) -> dict[str, str]:
    card, data = entry.card, entry.card.data
    samples = ", ".join(f"{split} {number:,}" for split, number in data.splits.items()) if data else ""
    return {
        "name": card.full_name,
        "summary": card.summary,
        "model": f"{card.model}, size {card.size}" if card.size else card.model,
        "task": card.task,
        "modality": card.modality,
        "labels": ", ".join(card.labels),
        "parameters": f"{card.parameters:,} ({count(card.parameters)})" if card.parameters else "",
        "plugin": card.plugin,
        "license": card.license,
        "paper": card.paper,
        "parent": card.parent,
        "data": f"{data.name} (sha256 {data.digest[:12]})" if data else "",
        "samples": samples,
        "data license": data.license if data else "",
        "data licenses": ", ".join(f"{name} {license}" for name, license in data.licenses.items()) if data else "",
        "data source": data.source if data else "",
        "seed": "" if card.seed is None else str(card.seed),
        "layer": entry.layer,
        "where": entry.where,
        "not loadable": entry.why,
        "notes": card.notes,
    }


def _by_split(card: Card) -> dict[tuple[str, str], list[Metric]]:
    groups: dict[tuple[str, str], list[Metric]] = {}
    for metric in card.metrics:
        groups.setdefault((metric.data, metric.split), []).append(metric)
    return groups


def _architecture(model: NamedModel) -> Answer:
    provided, spec = model.provided, model.provided.spec
    name = model_name(provided, model.size).rpartition("/")[2]
    config = to_data(build(provided.config, model.values, where=f"model {name}"))
    facts = {
        "name": name,
        "summary": spec.summary,
        "model": provided.id,
        "plugin": f"{provided.plugin} {provided.version}".strip(),
        "modality": spec.modality,
        "tasks": ", ".join(spec.tasks),
        "sizes": ", ".join(spec.sizes),
        "license": spec.license,
        "paper": spec.paper,
    }

    def show(output: Output) -> None:
        output.pairs(facts)
        _section(output, "config", {key: plain_value(value) for key, value in config.items()})
        fitted = _settings(provided.preprocessor_config)
        _section(output, "preprocessor", {key: _default(value) for key, value in fitted.items()})

    document = {
        **facts,
        "tasks": list(spec.tasks),
        "sizes": list(spec.sizes),
        "config": config,
        "preprocessor": _settings(provided.preprocessor_config),
    }
    return Answer(document=lambda: document, show=show)


def prediction_options(host: PluginHost, card: Card) -> dict[str, Any]:
    """The options of `zoo predict` for a checkpoint's task, with their defaults; none where it isn't known here."""
    try:
        return _settings(host.find("task", card.task, [card.plugin]).predict) if card.task else {}
    except ZooError:
        return {}


def _settings(config: type) -> dict[str, Any]:
    """Fields of a configuration with their defaults; `None` for one that has to be given."""
    found = {}
    for item in fields(config):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        found[item.name] = None if default is MISSING else to_data(default)
    return found


def _default(value: Any) -> str:
    return plain_value(value) if value != "" else "(empty)"


def _title(output: Output, title: str) -> None:
    output.line()
    output.line(f"{title}:")


def _section(output: Output, title: str, rows: Mapping[str, str]) -> None:
    """`title.key: value` for each row, so that a line says by itself what it belongs to; nothing where there are none."""
    if any(rows.values()):
        output.line()
        output.pairs({f"{title}.{key}": value for key, value in rows.items()})

"""`zoo show`: the card of a checkpoint, an architecture, or what else has a name."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from zoo_core.cli.listing import architecture_rows, left_out
from zoo_core.cli.render import Output, count, measured_with, metric_rows, plain_value, question, size
from zoo_core.cli.session import Answer, Session
from zoo_core.config.recipe import load_recipe
from zoo_core.config.shipped import find_recipe, shipped_recipes
from zoo_core.contract.schema import from_data, to_data
from zoo_core.data.tables.inputs import described
from zoo_core.errors import RecipeError, UnknownName, ZooError, nearest
from zoo_core.plugins.host import NamedModel, PluginHost, RegisteredComponent, model_name
from zoo_core.registry.card import Card, card_to_data, looks_like_path
from zoo_core.registry.checkpoint import open_folder
from zoo_core.registry.layers import Entry
from zoo_core.registry.records import Metric
from zoo_core.storage.paths import expanded


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
        output.pairs(_facts(entry, session.registry.modality(card)))
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


def _facts(entry: Entry, modality: str) -> dict[str, str]:
    card, data = entry.card, entry.card.data
    samples = ", ".join(f"{split} {number:,}" for split, number in data.splits.items()) if data else ""
    return {
        "name": card.full_name,
        "summary": card.summary,
        "model": f"{card.model}, size {card.size}" if card.size else card.model,
        "task": card.task,
        "modality": modality,
        "labels": ", ".join(card.labels),
        "parameters": f"{card.parameters:,} ({count(card.parameters)})" if card.parameters else "",
        "own parameters": f"{card.adapter.parameters:,}, the others are its base's" if card.adapter else "",
        "plugin": card.plugin,
        "license": card.license,
        "paper": card.paper,
        "parent": card.parent,
        "parents": ", ".join(f"{part} {reference}" for part, reference in card.parents.items()),
        "parts": ", ".join(f"{part} {record.model}" for part, record in card.parts.items()),
        "uses": ", ".join(card.uses),
        "base": card.base,
        "adapter": _adapter(card),
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


def _adapter(card: Card) -> str:
    if card.adapter is None:
        return ""
    settings = ", ".join(f"{name} {plain_value(value)}" for name, value in card.adapter.settings.items())
    return f"{card.adapter.name}: {settings}" if settings else card.adapter.name


def _by_split(card: Card) -> dict[tuple[str, str], list[Metric]]:
    groups: dict[tuple[str, str], list[Metric]] = {}
    for metric in card.metrics:
        groups.setdefault((metric.data, metric.split), []).append(metric)
    return groups


def _architecture(model: NamedModel) -> Answer:
    provided, spec = model.provided, model.provided.spec
    name = model_name(provided, model.size).rpartition("/")[2]
    config = to_data(from_data(provided.config, model.values, where=f"model {name}"))
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


def _settings(config: type, absent: str | None = None) -> dict[str, Any]:
    """Fields of a configuration with their defaults; `absent` for one that has to be given."""
    found = {}
    for item in fields(config):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        found[item.name] = absent if default is MISSING else to_data(default)
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


KINDS = ("task", "interface", "data", "loss", "optimizer", "schedule", "adapter", "sampler", "logger", "exporter")

_FACTS = ("loss", "dimensions", "source", "license", "paper")
"""Further fields of specs to show, where they have them."""


def known_names(host: PluginHost) -> set[str]:
    """Every name that `explain` answers for."""
    return {one.spec.name for kind in KINDS for one in host.all(kind)} | set(shipped_recipes(host))


def explain(name: str, host: PluginHost) -> Answer | None:
    """Everything of that name, of each kind; None where nothing has it. Raises `AmbiguousName`, `MissingPlugin`."""
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        with suppress(UnknownName):
            found.append(_component(kind, host.find(kind, name)))
    with suppress(UnknownName, RecipeError):
        path = find_recipe(name, host)
        found.append(_recipe(name, path, host))
    if not found:
        return None

    def show(output: Output) -> None:
        for number, facts in enumerate(found):
            if number:
                output.line()
            settings = facts["settings"]
            output.pairs({key: _words(value) for key, value in facts.items() if key != "settings"})
            output.pairs({f"settings.{key}": _words(value) or "(empty)" for key, value in settings.items()})

    return Answer(document=lambda: found, show=show)


def _component(kind: str, provided: RegisteredComponent) -> dict[str, Any]:
    spec = provided.spec
    facts = {
        "name": spec.name,
        "is a": kind,
        "id": provided.id,
        "summary": spec.summary,
        "modality": spec.modality,
        **{word: getattr(spec, word) for word in _FACTS if getattr(spec, word, "")},
        **({"an input is": described(spec)} if kind == "task" else {}),
        "takes": list(getattr(spec, "inputs", ())),
        **({"reads": list(map(str, spec.reads))} if kind == "task" else {}),
        **({"samples": str(spec.samples or "those of its parts")} if kind == "data" else {}),
    }
    return {**facts, "settings": _settings(provided.config, absent="(must be given)")}


def _recipe(name: str, path: Path, host: PluginHost) -> dict[str, Any]:
    data = load_recipe(path, [], host).to_data()
    facts = {"name": name, "is a": "recipe", "summary": data["summary"], "registers": data["name"], "file": str(path)}
    facts |= {section: data[section]["name"] for section in ("task", "data", "loss") if section in data}
    facts["optimizer"] = ", ".join(dict.fromkeys(one["name"] for one in _optimizers(data["optimizer"])))
    facts["schedule"] = data["schedule"]["name"]
    settings = {f"training.{key}": value for key, value in data["training"].items() if value is not None}
    return {**facts, "init": data["init"], "model": data["model"].get("name", ""), "settings": settings}


def _optimizers(section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The optimizers of a section: those of its groups, or the one that it is."""
    return section.get("groups") or [section]


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else plain_value(value)

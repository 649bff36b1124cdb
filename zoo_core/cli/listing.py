"""`zoo list`, `zoo search`, `zoo recipes`, `zoo plugin list`, `zoo data list` and `zoo data fetch`."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from zoo_core.cli.render import Output, count, number
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import UnknownName, UsageError, ZooError
from zoo_core.plugins.host import KINDS, PluginHost, PluginRecord, RegisteredComponent
from zoo_core.registry.card import Card
from zoo_core.registry.layers import CATALOGUE, Entry, Names
from zoo_core.registry.registry import Registry

Row = dict[str, Any]
"""One line of a listing as `--json` prints it."""


def list_checkpoints(arguments: Namespace, session: Session) -> Answer:
    """The newest loadable version of every checkpoint; with `--all` everything there is a name for."""
    _check_filters(arguments, session)
    task, modality = arguments.task or "", arguments.modality or ""
    registry = session.registry
    entries = registry.cards(arguments.pattern, task=task, modality=modality)
    names = registry.names()
    if arguments.all:
        rows = [checkpoint_row(entry, names, registry) for entry in entries]
        given = arguments.pattern != "*"
        families = _families(session.host, task)
        found = [*architecture_rows(session.host), *(foreign_rows(session.host) if given else [])]
        rows += [row for row in found if row["model"] in families and _passes(row, arguments)]
        notes = () if given else _more_names(session.host)
        notes = (*notes, *left_out(session.host.warnings))
    else:
        usable = registry.usual(arguments.pattern, task=task, modality=modality)
        rows = [checkpoint_row(entry, names, registry) for entry in usable]
        notes = _left_out(entries, usable)
    notes = (*notes, *left_out(registry.problems))
    return Answer(document=lambda: rows, show=lambda output: _show(rows, output), notes=notes)


def search(arguments: Namespace, session: Session) -> Answer:
    """Checkpoints and architectures in whose descriptions every word occurs."""
    words = [word.lower() for word in arguments.words]
    names = session.registry.names()
    rows = [checkpoint_row(entry, names, session.registry) for entry in session.registry.usual()]
    rows = [row for row in [*rows, *architecture_rows(session.host)] if _mentions(row, words)]
    notes = () if rows else (f"nothing mentions {' and '.join(arguments.words)}; see: zoo list --all",)
    notes = (*notes, *left_out(session.registry.problems))
    return Answer(document=lambda: rows, show=lambda output: _show(rows, output), notes=notes)


def list_recipes(arguments: Namespace, session: Session) -> Answer:
    """The recipes that plugins ship, with the first comment of the file or its summary."""
    from zoo_core.config.shipped import shipped_recipes
    from zoo_core.contract.schema import parse_yaml
    from zoo_core.errors import RecipeError
    from zoo_core.storage import fs

    rows = []
    problems = []
    for name, path in shipped_recipes(session.host).items():
        try:
            data = parse_yaml(fs.read_bytes(path, limit=1 << 20), where=str(path), error=RecipeError).data
            if not isinstance(data, dict):
                raise RecipeError(f"{path}: a recipe is a mapping of sections")
        except ZooError as failure:
            problems.append(failure.message)
            continue
        task, summary = _named(data.get("task")), str(data.get("summary", ""))
        rows.append({"name": name, "task": task, "summary": summary, "path": str(path)})

    def show(output: Output) -> None:
        output.table(["recipe", "task", "summary"], [[row["name"], row["task"], row["summary"]] for row in rows])

    next_step = "run one with: zoo pretrain RECIPE" if rows else "no installed plugin ships recipes"
    notes = (next_step, *left_out(problems))
    return Answer(document=lambda: rows, show=show, notes=notes)


def _named(section: Any) -> str:
    return str(section.get("name", "")) if isinstance(section, dict) else ""


def left_out(problems: Sequence[str]) -> tuple[str, ...]:
    """A note for each item that can't be read, up to a few; the others are there."""
    more = (f"and {len(problems) - 5} more; see: zoo doctor",) if len(problems) > 5 else ()
    return (*(f"left out: {problem}" for problem in problems[:5]), *more)


def checkpoint_row(entry: Entry, names: Names, registry: Registry) -> Row:
    """What a listing says of a checkpoint."""
    card = entry.card
    return {
        "name": card.name,
        "version": card.version,
        "kind": "checkpoint",
        "task": card.task,
        "modality": registry.modality(card),
        "parameters": card.parameters,
        "own_parameters": card.adapter.parameters if card.adapter else card.parameters,
        "metrics": {metric.name: metric.value for metric in card.metrics},
        "summary": card.summary,
        "labels": list(card.labels),
        "model": card.model,
        "layer": entry.layer,
        "use": names.use(entry),
        "available": entry.available,
        "why": entry.why,
    }


def architecture_rows(host: PluginHost) -> list[Row]:
    """What a listing says of the architectures that plugins bring: one line a size."""
    found = host.all("model")
    clashes = Counter(provided.spec.name for provided in found)
    rows = []
    for provided in found:
        spec = provided.spec
        family = spec.name if clashes[spec.name] == 1 else provided.id
        rows += [_architecture_row(provided, f"{family}_{size}") for size in spec.sizes]
    return rows


def foreign_rows(host: PluginHost) -> list[Row]:
    """A line for each name that another library gives its architectures."""
    return [_architecture_row(family, name) for family in host.all("model") for name in host.foreign_names(family)]


def _architecture_row(provided: RegisteredComponent, name: str) -> Row:
    spec = provided.spec
    return {
        "name": name,
        "version": None,
        "kind": "architecture",
        "task": ", ".join(spec.tasks),
        "modality": spec.modality,
        "parameters": None,
        "own_parameters": None,
        "metrics": {},
        "summary": spec.summary,
        "labels": [],
        "model": provided.id,
        "layer": f"plugin {provided.plugin}",
        "use": name,
        "available": True,
        "why": "",
    }


def _more_names(host: PluginHost) -> tuple[str, ...]:
    """Families whose names are too many to list unasked."""
    return tuple(
        f"{family.id} knows {len(host.foreign_names(family)):,} further names; a pattern shows them"
        for family in host.all("model")
        if family.spec.names
    )


def _show(rows: Sequence[Row], output: Output) -> None:
    if rows:
        output.table(
            ["name", "task", "parameters", "metric", "summary"],
            [
                [_full_name(row), row["task"].rpartition("/")[2], _amount(row), _first_metric(row), _remark(row)]
                for row in rows
            ],
        )


def _full_name(row: Row) -> str:
    if "/" in row["use"]:
        return str(row["use"])
    return f"{row['name']}@{row['version']}" if row["version"] else str(row["name"])


def _amount(row: Row) -> str:
    if not row["parameters"]:
        return ""
    own = row["own_parameters"]
    return count(row["parameters"]) + (f" ({count(own)} own)" if own != row["parameters"] else "")


def _first_metric(row: Row) -> str:
    return next((f"{name} {number(value)}" for name, value in row["metrics"].items()), "")


def _remark(row: Row) -> str:
    if row["why"]:
        return f"not loadable: {row['why']}"
    return f"architecture: {row['summary']}" if row["kind"] == "architecture" else str(row["summary"])


def _left_out(entries: Sequence[Entry], usable: Sequence[Entry]) -> tuple[str, ...]:
    """Lines that keep a short listing from being mistaken for a complete one."""
    missing = {entry.card.name for entry in entries if not elsewhere(entry)}
    hidden = len(missing - {entry.card.name for entry in usable})
    notes = [f"{hidden} more can't be loaded here; see why: zoo list --all"] if hidden else []
    if not usable and not hidden:
        notes.append("no checkpoints; train one of: zoo recipes; architectures: zoo list --all")
    return tuple(notes)


def elsewhere(entry: Entry) -> bool:
    """Whether it is the catalogue's for a plugin that isn't installed: nothing that this user is missing."""
    return entry.layer == CATALOGUE and entry.why.startswith("needs ")


def _passes(row: Row, arguments: Namespace) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(row["name"], arguments.pattern) and arguments.modality in (None, row["modality"])


def _families(host: PluginHost, task: str) -> set[str]:
    """Ids of the families that serve a task, given by its id or its name; all of them for an empty one."""
    wanted = [one for one in host.all("task") if task in (one.id, one.spec.name)]
    return {
        family.id
        for family in host.all("model")
        if not task or task in family.spec.tasks or any(host.serves(family, one) for one in wanted)
    }


def _mentions(row: Row, words: Sequence[str]) -> bool:
    fields = [row["name"], row["summary"], row["task"], row["modality"], row["model"], *row["labels"]]
    haystack = "\n".join(fields).lower()
    return all(word in haystack for word in words)


def _check_filters(arguments: Namespace, session: Session) -> None:
    """Something has the task or the modality; a mistyped one would look like an empty zoo. Raises `UnknownName`."""
    for kind in ("task", "modality"):
        asked = getattr(arguments, kind)
        if asked is not None:
            known = {name for name in _known(kind, session) if name}
            if asked not in known:
                raise UnknownName(kind, asked, known)


def _known(kind: str, session: Session) -> Iterable[str]:
    cards: list[Card] = [entry.card for entry in session.registry.cards()]
    if kind == "task":
        yield from (name for card in cards for name in (card.task_name, session.registry.task_id(card)))
        yield from (name for one in session.host.all("task") for name in (one.spec.name, one.id))
    else:
        yield from (name for card in cards for name in (card.modality, session.registry.modality(card)))
        yield from (provided.spec.modality for provided in session.host.all("model"))


def list_plugins(arguments: Namespace, session: Session) -> Answer:
    """Every installed plugin, whatever became of it."""
    host = session.host

    def show(output: Output) -> None:
        rows = [
            [record.name, record.version, record.state, _provides(host, record), "; ".join(_remarks(host, record))]
            for record in host.records
        ]
        output.table(["plugin", "version", "state", "provides", "remarks"], rows)

    return Answer(document=lambda: [_plugin_document(host, record) for record in host.records], show=show)


def _provides(host: PluginHost, record: PluginRecord) -> str:
    counts = Counter({kind: len(_brought(host, kind, record)) for kind in KINDS})
    return ", ".join(f"{kind} {number}" for kind, number in counts.items() if number)


def _brought(host: PluginHost, kind: str, record: PluginRecord) -> list[RegisteredComponent]:
    return [provided for provided in host.all(kind) if provided.plugin == record.name]


def _remarks(host: PluginHost, record: PluginRecord) -> list[str]:
    shared = [name for name, plugins in host.shared_names().items() if record.name in plugins]
    note = f"others list these as well, ask by plugin/name: {', '.join(shared[:5])}" if shared else ""
    return [remark for remark in (record.reason, *record.notes, note) if remark]


def _plugin_document(host: PluginHost, record: PluginRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.version,
        "state": record.state,
        "reason": record.reason,
        "notes": list(record.notes),
        "shared": [name for name, plugins in host.shared_names().items() if record.name in plugins],
        "location": record.location,
        "api": list(record.api) if record.api else None,
        "provides": {kind: [provided.id for provided in _brought(host, kind, record)] for kind in KINDS},
    }


def list_data(arguments: Namespace, session: Session) -> Answer:
    """Every data set and reader, and whether what has to be downloaded is there."""
    found = session.host.all("data")
    documents = [
        {
            "id": provided.id,
            "name": name,
            "samples": str(provided.spec.samples or ""),
            "modality": provided.spec.modality,
            "summary": provided.spec.summary,
            "license": provided.spec.license,
            "source": provided.spec.source,
            "state": _data_state(provided, session),
        }
        for name, provided in zip(short_names(found), found, strict=True)
    ]

    def show(output: Output) -> None:
        rows = [[item[key] for key in ("name", "samples", "state", "summary")] for item in documents]
        output.table(["data", "samples", "state", "summary"], rows)

    missing = any(item["state"] == MISSING for item in documents)
    notes = ("download with: zoo data fetch NAME",) if missing else ()
    return Answer(document=lambda: documents, show=show, notes=notes)


READY, FETCHED, MISSING = "ready", "fetched", "to be fetched"


def _data_state(provided: RegisteredComponent, session: Session) -> str:
    from zoo_core.data.fetch import data_root
    from zoo_core.plugins.fetched import fetched_parts

    folders = [data_root(session.environ) / part.spec.name for part in fetched_parts(provided, session.host)]
    if not folders:
        return READY
    return FETCHED if all(folder.is_dir() and any(folder.iterdir()) for folder in folders) else MISSING


def short_names(found: Sequence[RegisteredComponent]) -> list[str]:
    """What a user types for each component: its own name where that is unique, its full id elsewhere."""
    counts = Counter(provided.spec.name for provided in found)
    return [provided.spec.name if counts[provided.spec.name] == 1 else provided.id for provided in found]


def download_data(arguments: Namespace, session: Session) -> Answer:
    """Download data sets, all names being checked before the first byte."""
    from zoo_core.data.fetch import Fetcher, data_root
    from zoo_core.plugins.fetched import fetch_data, fetched_parts

    root = data_root(session.environ)
    wanted = [session.host.find("data", name) for name in arguments.names]
    for provided in wanted:
        if not fetched_parts(provided, session.host):
            raise UsageError(f"data {provided.id} has nothing to download", hint="it can be used as it is")
    fetcher = Fetcher(root, session.errors.line)
    fetched = []
    for provided in wanted:
        fetch_data(provided, session.host, fetcher)
        fetched.append({"id": provided.id, "folder": str(root / provided.spec.name)})

    def show(output: Output) -> None:
        output.table(["data", "folder"], [[item["id"], item["folder"]] for item in fetched])

    return Answer(document=lambda: fetched, show=show)

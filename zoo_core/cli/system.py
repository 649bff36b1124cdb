"""`zoo plugin list`, `zoo data list` and `zoo data fetch`."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_core.cli.render import Output
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import UsageError
from zoo_core.plugins import KINDS, PluginHost, PluginRecord, Provided


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


def _brought(host: PluginHost, kind: str, record: PluginRecord) -> list[Provided]:
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
    from zoo_core.fetch import data_root

    root = data_root(session.environ)
    found = session.host.all("data")
    documents = [
        {
            "id": provided.id,
            "name": name,
            "kind": provided.spec.kind,
            "modality": provided.spec.modality,
            "summary": provided.spec.summary,
            "license": provided.spec.license,
            "source": provided.spec.source,
            "state": _data_state(provided, root),
        }
        for name, provided in zip(short_names(found), found, strict=True)
    ]

    def show(output: Output) -> None:
        rows = [[item[key] for key in ("name", "kind", "state", "summary")] for item in documents]
        output.table(["data", "kind", "state", "summary"], rows)

    missing = any(item["state"] == MISSING for item in documents)
    notes = ("download with: zoo data fetch NAME",) if missing else ()
    return Answer(document=lambda: documents, show=show, notes=notes)


READY, FETCHED, MISSING = "ready", "fetched", "to be fetched"


def _data_state(provided: Provided, root: Path) -> str:
    if not provided.spec.fetch:
        return READY
    folder = root / provided.spec.name
    return FETCHED if folder.is_dir() and any(folder.iterdir()) else MISSING


def short_names(found: Sequence[Provided]) -> list[str]:
    """What a user types for each component: its own name where that is unique, its full id elsewhere."""
    counts = Counter(provided.spec.name for provided in found)
    return [provided.spec.name if counts[provided.spec.name] == 1 else provided.id for provided in found]


def fetch_data(arguments: Namespace, session: Session) -> Answer:
    """Download data sets, all names being checked before the first byte."""
    from zoo_core.fetch import Fetcher, data_root

    root = data_root(session.environ)
    wanted = [session.host.find("data", name) for name in arguments.names]
    for provided in wanted:
        if not provided.spec.fetch:
            raise UsageError(f"data {provided.id} has nothing to download", hint="it can be used as it is")
    fetcher = Fetcher(root, session.errors.line)
    fetched = []
    for provided in wanted:
        session.host.resolve(provided.spec.fetch, provided)(fetcher)
        fetched.append({"id": provided.id, "folder": str(root / provided.spec.name)})

    def show(output: Output) -> None:
        output.table(["data", "folder"], [[item["id"], item["folder"]] for item in fetched])

    return Answer(document=lambda: fetched, show=show)

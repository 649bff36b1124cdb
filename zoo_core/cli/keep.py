"""`zoo verify`, `zoo import` and `zoo export`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from zoo_core.card import Card, looks_like_path
from zoo_core.checkpoint import card_folder, open_folder
from zoo_core.cli.render import Output, size
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import StoreError, UsageError
from zoo_core.hub import PREFIX
from zoo_core.inputs import expanded
from zoo_core.layers import STORE

SOUND, DAMAGED, ABSENT = "sound", "damaged", "not here"

Row = dict[str, Any]
"""One checked checkpoint as `--json` prints it."""


def verify(arguments: Namespace, session: Session) -> Answer:
    """Hash every byte of checkpoints; the exit code tells whether all are what their cards say."""
    if bool(arguments.names) == arguments.all:
        raise UsageError("zoo verify: name checkpoints, or give --all")
    rows = [_named(name, session) for name in arguments.names] if arguments.names else _everything(session)

    def show(output: Output) -> None:
        output.table(["name", "state", "files"], [[row["name"], row["state"], str(row["files"])] for row in rows])
        for row in rows:
            for problem in row["problems"]:
                output.line(f"{row['name']}: {problem}")

    damaged = any(row["state"] == DAMAGED for row in rows)
    return Answer(document=lambda: rows, show=show, exit_code=StoreError.exit_code if damaged else 0)


def _named(name: str, session: Session) -> Row:
    if looks_like_path(name) and not session.registry.is_name(name):
        return _folder(expanded(name.removeprefix("file:")))
    entry = session.registry.lookup(name)
    return _row(entry.card, session.registry.verify(entry))


def _everything(session: Session) -> list[Row]:
    """Every card; one that isn't the store's and has none of its files here is no damage."""
    rows = []
    names = session.registry.names()
    for entry in names.entries:
        absent = entry.layer != STORE and not session.registry.here(entry)
        row = _row(entry.card, [] if absent else session.registry.verify(entry))
        name = names.use(entry) if names.foreign(entry) else entry.card.full_name
        rows.append({**row, "name": name, **({"state": ABSENT} if absent else {})})
    for problem in session.registry.problems:
        rows.append({"name": problem.partition(":")[0], "state": DAMAGED, "files": 0, "problems": [problem]})
    return rows


def _folder(folder: Path) -> Row:
    """A checkpoint folder; it needs no registry."""
    checkpoint = open_folder(folder)
    problems = []
    for file in checkpoint.card.files:
        try:
            checkpoint.read(file.path)
        except StoreError as failure:
            problems.append(failure.message)
    return {**_row(checkpoint.card, problems), "name": str(folder)}


def _row(card: Card, problems: list[str]) -> Row:
    state = DAMAGED if problems else SOUND
    return {"name": card.full_name, "state": state, "files": len(card.files), "problems": problems}


def import_folder(arguments: Namespace, session: Session) -> Answer:
    """Register a folder of another library or of another store, or a checkpoint that a package ships."""
    from zoo_core import exchange
    from zoo_core.fetch import Fetcher, data_root

    source, host, registry = arguments.source, session.host, session.registry
    remote = source.startswith(PREFIX)
    if not remote and (place := card_folder(expanded(source))) is not None:
        if arguments.model:
            raise UsageError(f"{source} holds a card, which names its model", hint="leave --model out")
        card = exchange.import_checkpoint(place, name=arguments.name or "", registry=registry)
    elif remote or looks_like_path(source) or Path(source).is_dir():
        if not (arguments.model and arguments.name):
            raise UsageError(f"zoo import {source} needs --model FAMILY and --name NAME", hint="zoo import --help")
        parts = {"model": arguments.model, "name": arguments.name}
        if remote:
            card = exchange.import_hub(source, **parts, host=host, registry=registry)
        else:
            card = exchange.import_folder(expanded(source), **parts, host=host, registry=registry)
    else:
        fetcher = Fetcher(data_root(session.environ), session.errors.line)
        name = arguments.name or ""
        card = exchange.import_packaged(source, fetcher=fetcher, host=host, registry=registry, register_as=name)
    facts = {"checkpoint": card.full_name, "model": card.model, "task": card.task, "parameters": f"{card.parameters:,}"}
    return Answer(
        document=lambda: {**facts, "parameters": card.parameters},
        show=lambda output: output.pairs(facts),
        notes=(*card.notes.splitlines(), f"look at it: zoo show {registry.use(card)}"),
    )


def export_folder(arguments: Namespace, session: Session) -> Answer:
    """Write a folder for another library."""
    from zoo_core import exchange

    folder = expanded(arguments.folder)
    written = exchange.export_folder(arguments.name, folder, host=session.host, registry=session.registry)
    files = {path.name: path.stat().st_size for path in sorted(written.iterdir())}

    def show(output: Output) -> None:
        output.line(f"wrote {written}")
        output.table(["file", "size"], [[name, size(amount)] for name, amount in files.items()])

    return Answer(document=lambda: {"folder": str(written), "files": files}, show=show)

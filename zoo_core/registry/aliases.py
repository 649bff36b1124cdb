"""Which version a bare name means because the user says so: one small file for each time that it was said.

`aliases/<name>/<n>.json` holds `{"schema_version": 1, "name": ..., "version": 2, "sha256": ..., "set_at": ...}`. The file
with the highest n counts and the others are its history; `"version": null` takes the alias back. A file is created whole
or not at all and never changed, so that two who set one at the same time leave two files.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from zoo_core.contract.schema import from_data
from zoo_core.errors import CardError, StoreError
from zoo_core.registry.card import valid_name
from zoo_core.registry.catalogue import names_in
from zoo_core.registry.layers import Alias
from zoo_core.storage import fs

SCHEMA = 1
"""Version of the file's format that this zoo-core writes and reads up to."""

_FILE = re.compile(r"([1-9][0-9]{0,8})\.json")
_MAX_BYTES = 4096


def read_aliases(root: Path) -> dict[str, Alias | StoreError]:
    """The aliases that count, by name; for a name whose last one can't be read, what is wrong with it."""
    found: dict[str, Alias | StoreError] = {}
    try:
        names = [name for name in names_in(root / "aliases") if valid_name(name)]
    except StoreError:
        return {}  # the store's own folders can't be read either, which is noted there
    for name in names:
        folder = root / "aliases" / name
        try:
            for latest in _numbers(folder)[-1:]:
                alias = _read(folder / f"{latest}.json", name)
                found.update({name: alias} if alias.version is not None else {})
        except StoreError as failure:
            found[name] = failure
    return found


def history(root: Path, name: str) -> list[Alias]:
    """Every alias that a name ever had, the one that counts last; one that can't be read is left out."""
    folder = root / "aliases" / name
    found = []
    for number in _numbers(folder):
        with suppress(StoreError):
            found.append(_read(folder / f"{number}.json", name))
    return found


def write_alias(root: Path, name: str, version: int | None, sha256: str = "") -> Alias:
    """Let a bare name mean a version, or with None what it means by itself. Raises `DiskError`."""
    folder = root / "aliases" / name
    alias = Alias(name=name, version=version, sha256=sha256, set_at=datetime.now(UTC).isoformat(timespec="seconds"))
    data = {"schema_version": SCHEMA, "name": name, "version": version, "sha256": sha256, "set_at": alias.set_at}
    fs.make_folder(folder)
    fs.sweep(folder)
    while not fs.publish_new(folder / f"{max(_numbers(folder), default=0) + 1}.json", json.dumps(data).encode()):
        pass  # somebody else set one at the same moment; ours is the later one
    return alias


def _numbers(folder: Path) -> list[int]:
    return sorted(int(match[1]) for entry in names_in(folder) if (match := _FILE.fullmatch(entry)))


def _read(path: Path, name: str) -> Alias:
    try:
        data = json.loads(fs.read_bytes(path, limit=_MAX_BYTES))
    except (ValueError, RecursionError) as failure:
        raise CardError(f"{path}: not an alias: {str(failure)[:200]}", hint="set it again: zoo alias") from failure
    if not isinstance(data, dict) or type(data.get("schema_version")) is not int:
        raise CardError(f"{path}: not an alias: expected a mapping with a schema_version")
    if data["schema_version"] > SCHEMA:
        raise CardError(f"{path}: written by a newer zoo-core", hint="pip install --upgrade zoo-core")
    fields = {key: value for key, value in data.items() if key != "schema_version"}
    alias = from_data(Alias, fields, where=str(path), error=CardError)
    if alias.name != name:
        raise CardError(f"{path}: it holds the alias of {alias.name[:80]!r}", hint="it was moved or changed by hand")
    return alias

"""What a run is: recipe, data and preprocessor are fixed on disk before step 1, and a resume that differs is refused."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.contract.config import aliases
from zoo_core.errors import CorruptFile, ResumeError, ZooError
from zoo_core.plugins.host import PluginHost
from zoo_core.storage import fs

FREE: Mapping[str, str] = {
    "training.log_every": "figures are logged more or less often",
    "training.save_every": "checkpoints are saved more or less often",
    "training.keep": "more or fewer checkpoints are kept",
    "training.workers": "samples are a function of their key, whoever reads them",
    "training.timeout": "a sample or a rank is waited for longer or shorter",
    "training.skip_nonfinite": "more or fewer updates may be left out before the run ends; which ones stays",
    "data.max_bad": "more or fewer samples may be bad before the run ends; which ones stays",
    "training.baselines": "they are computed after registration",
    "training.extras": "they are made after registration",
    "training.extras_timeout": "they are waited for longer or shorter",
}
"""Settings that a resumed run may change, and why: no weight of a run that ends depends on them."""

FORMAT = 1
"""Version of the file; a newer one is refused."""

_MOST = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that must be the same when a run is resumed, and what computed its start."""

    run: str
    """32 hex digits, drawn when the run was started: what it registers says whose it is."""
    recipe: Mapping[str, Any]
    """The resolved recipe."""
    data: str | None
    """Digest of the data as it was read, taken once; None where the run was started by a zoo that didn't note it."""
    preprocessor: str | None
    """Digest of the preprocessor's files; empty for none, None as above."""
    init: str | None
    """`name@sha256:...` of the checkpoint it starts from; empty for none, None as above."""
    environment: Mapping[str, str]
    """Versions, threads and machine at the start."""
    uses: Mapping[str, str] = field(default_factory=dict)
    """`name@sha256:...` of other checkpoints that its task had opened before the first step, by what it asked for."""


def new_run() -> str:
    """A name for a run that no other run has."""
    return secrets.token_hex(16)


def files_digest(files: Mapping[str, bytes]) -> str:
    """sha256 over names and contents in the order of the names; empty for no files."""
    if not files:
        return ""
    return fs.digest_of(*(f"{name} {fs.digest_of(files[name])}\n".encode() for name in sorted(files)))


def as_first_named(files: Mapping[str, bytes], config: Any) -> dict[str, bytes]:
    """A preprocessor's files as they were written before the fields of its configuration were renamed.

    A run that was started then goes on; only files of one JSON object can tell of renamed fields.
    """
    first = {new: old for old, new in reversed(aliases(config).items())}
    written = dict(files)
    for name in [name for name in files if first and name.endswith(".json")]:
        data = json.loads(files[name])
        if isinstance(data, dict):
            renamed = {first.get(key, key): value for key, value in data.items()}
            written[name] = (json.dumps(renamed, indent=1, sort_keys=True) + "\n").encode()
    return written


def write(path: Path, identity: Identity) -> None:
    """Store an identity. Raises `DiskError`."""
    body = {name: value for name, value in asdict(identity).items() if name != "uses" or value}
    fs.write_file(path, json.dumps({"format": FORMAT, **body}, indent=1, sort_keys=True).encode())


def read(path: Path) -> Identity | None:
    """The identity in a run's folder; None for a run of a zoo that wrote none. Raises `CorruptFile`, `ResumeError`."""
    if not path.exists():
        return None
    try:
        body = json.loads(fs.read_bytes(path, limit=_MOST))
        version = body.pop("format")
        if version != FORMAT:
            raise ResumeError(f"{path} has format {version}; this zoo reads {FORMAT}", hint="upgrade zoo-core")
        return Identity(**body)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CorruptFile(f"{path} doesn't say what the run is: {error}") from None


def refuse_other_recipe(kept: Mapping[str, Any], recipe: Recipe, host: PluginHost, where: Path) -> None:
    """Raise `ResumeError` with the differences if the recipe is not the one that the run started with.

    The stored recipe is resolved again, so that a setting which a newer zoo added has its default in both.
    """
    try:
        old = load_recipe(kept, [], host).to_data()
    except ZooError as error:
        raise ResumeError(
            f"{where} was started with a recipe that this zoo can't run: {error.message}",
            hint="resume with the versions that started it",
        ) from error
    differences = _differences(_without_free(old), _without_free(recipe.to_data()), "")
    if differences:
        raise ResumeError(
            f"{where} was started with another recipe:\n  " + "\n  ".join(differences[:10]),
            hint=f"go on with its own: zoo resume {where}\nor start a new run in another folder",
        )


def refuse_changes(kept: Identity, now: Identity, where: Path) -> None:
    """Raise `ResumeError`, naming what differs, if data, preprocessor or the checkpoint to start from changed."""
    parts = {
        "the data": (kept.data, now.data),
        "the preprocessor": (kept.preprocessor, now.preprocessor),
        "the checkpoint it starts from": (kept.init, now.init),
    }
    changed = [
        f"{what} ({_short(old)} then, {_short(new)} now)"
        for what, (old, new) in parts.items()
        if old is not None and old != new
    ]
    if changed:
        raise ResumeError(
            f"{where}: {' and '.join(changed)} changed since the run was started",
            hint="put back what it was started with, or start a new run in another folder",
        )


def changed_environment(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """One sentence where the bits of the end may differ because other versions, threads or machines compute; else empty."""
    then = {"draws": "1", **then}  # as they were before they were counted
    known = {key for key in then if key in now}
    # What the variable says is of no matter where the number itself is known.
    known -= {"threads"} if "torch_threads" in known else set()
    changed = [
        f"{key.replace('_', ' ')} {then[key]} then, {now[key]} now" for key in sorted(known) if then[key] != now[key]
    ]
    if not changed:
        return ""
    return f"the run goes on under other conditions, so its bits may differ: {'; '.join(changed)}"


def _short(text: str | None) -> str:
    name, sign, digest = (text or "none").rpartition(":")
    return f"{name}{sign}{digest[:12]}" if len(digest) >= 64 else text or "none"


def _without_free(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a run depends on: no weight depends on words about it or on who watches it."""
    fixed = {
        section: {key: value for key, value in recipe[section].items() if f"{section}.{key}" not in FREE}
        for section in ("training", "data")
    }
    return {**recipe, **fixed, "summary": "", "loggers": ()}


def _differences(old: Any, new: Any, place: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            found += _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
        return found
    same = list(old) == list(new) if isinstance(old, list | tuple) and isinstance(new, list | tuple) else old == new
    return [] if same else [f"{place}: {old} then, {new} now"]

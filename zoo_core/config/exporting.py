"""Exports a checkpoint in a format that a plugin brings: all of a new folder, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.config.loading import load_checkpoint
from zoo_core.contract.config import present_names
from zoo_core.contract.schema import from_data
from zoo_core.contract.specs import Head
from zoo_core.errors import PluginError, StoreError, ZooError
from zoo_core.models.exporters import Exporter, ExportSource
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.plugins.validation import cause_of
from zoo_core.registry.card import card_to_data
from zoo_core.registry.checkpoint import Checkpoint, family_of
from zoo_core.registry.registry import Registry
from zoo_core.storage import fs


def export_checkpoint(
    checkpoint: Checkpoint, folder: Path, *, format: str, settings: Mapping[str, Any], task: str, registry: Registry
) -> Path:
    """Write a checkpoint to a new folder, by the exporter of that name. Raises `StoreError` if the folder exists."""
    host = registry.host
    provided = host.find("exporter", format)
    config = from_data(provided.config, dict(settings), where=f"settings of {provided.spec.name}")
    if folder.exists():
        raise StoreError(f"{folder} exists", hint="name a folder that doesn't exist yet; nothing is overwritten")
    files = _files(provided, config, _source(checkpoint, task, registry), host)
    fs.make_folder(folder.parent)
    return fs.commit_folder(folder.parent, folder.name, files)


def _source(checkpoint: Checkpoint, task: str, registry: Registry) -> ExportSource:
    card, host = checkpoint.card, registry.host
    family = family_of(card, host)
    return ExportSource(
        name=card.full_name,
        reference=checkpoint.reference,
        model=family.id,
        config=present_names(family.config, card.config),
        head=Head(task=card.task_name, labels=len(card.labels)),
        labels=card.labels,
        license=card.license,
        card=card_to_data(card),
        preprocessor=checkpoint.preprocessor(host),
        interop=host.resolve(family.spec.interop, family)() if family.spec.interop else None,
        tensors=checkpoint.tensors,
        predictor=lambda: load_checkpoint(checkpoint, registry, task=task).task,
    )


def _files(
    provided: RegisteredComponent, config: Any, source: ExportSource, host: PluginHost
) -> dict[str, Sequence[fs.Buffer]]:
    """What the exporter gives. Raises `PluginError` where it raises what isn't ours, and for anything but files of bytes."""
    target = host.resolve(provided.spec.target, provided)
    try:
        exporter: Exporter = target(config)
        files = dict(exporter.files(source))
    except (KeyboardInterrupt, ZooError):
        raise
    except BaseException as error:
        cause = cause_of(error, provided.spec.target.partition(":")[0])
        raise PluginError(f"{provided.id}: exporting {source.name} raised {cause}") from error
    for name, pieces in files.items():
        if isinstance(pieces, fs.Buffer) or not all(isinstance(piece, fs.Buffer) for piece in pieces):
            raise PluginError(f"{provided.id}: {name}: expected a list of bytes, found {type(pieces).__name__}")
    return files

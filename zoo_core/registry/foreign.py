"""A folder of weights that another library wrote, in one file or several, measured before anything is read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.contract.interop import read_object
from zoo_core.errors import CorruptFile, StoreError, UsageError
from zoo_core.registry.card import WEIGHTS
from zoo_core.storage import fs, tensors
from zoo_core.storage.budgets import WEIGHTS as BUDGET
from zoo_core.storage.kinds import HEAD, kind_of

if TYPE_CHECKING:
    from torch import Tensor

INDEX = f"{WEIGHTS}.index.json"
"""Which of several files holds each tensor."""
MOST_FILES = 10_000
"""Entries of a folder that are looked at."""
SMALL = 64 << 20
"""Bytes of a configuration or a vocabulary; a larger file of that kind is refused."""
TOGETHER = 256 << 20
"""Bytes of all of them."""

_TEXTS = (".json", ".txt", ".model", ".jinja")
_UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".pkl", ".msgpack", ".ot")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """Files with the tensors of one model, whose headers were checked."""

    files: Mapping[str, Path]
    """By the name in the folder."""
    size: int
    """Bytes of all tensors."""

    def load(self, *, most: int) -> dict[str, Tensor]:
        """All tensors. Raises `CorruptFile`, before anything is read, for more than `most` bytes."""
        if self.size > most:
            first = next(iter(self.files.values()))
            raise CorruptFile(
                f"{first}: {self.size:,} bytes of tensors, where the configuration asks for {most:,} at most",
                hint="these are the weights of a larger model than config.json describes",
            )
        found: dict[str, Tensor] = {}
        for path in self.files.values():
            found |= tensors.load(tensors.read_file(path), where=str(path))
        return found


class ForeignFolder:
    """What lies in such a folder, and in the folders right below it."""

    def __init__(self, folder: Path) -> None:
        """Raises `CorruptFile` for what is no folder, or one with far too much in it."""
        if not folder.is_dir():
            raise CorruptFile(f"{folder} is not a folder")
        self.folder = folder
        found = sorted(itertools.islice(folder.iterdir(), MOST_FILES + 1))
        if len(found) > MOST_FILES:
            raise CorruptFile(f"{folder}: more than {MOST_FILES:,} entries", hint="give the folder of one model")
        self.paths = {path.name: path for path in found}
        self.paths |= {
            f"{path.name}/config.json": path / "config.json" for path in found if (path / "config.json").is_file()
        }

    def small_files(self) -> dict[str, bytes]:
        """Configurations and vocabularies by name. Raises `CorruptFile` for one that is too large or only points to itself."""
        found: dict[str, bytes] = {}
        for name, path in self.paths.items():
            if path.suffix not in _TEXTS or name == INDEX or not path.is_file():
                continue
            place = self._followed(path)
            found[name] = fs.read_bytes(place, limit=SMALL)
            _refuse_pointer(path, found[name][:HEAD])
            if sum(map(len, found.values())) > TOGETHER:
                raise CorruptFile(f"{self.folder}: more than {TOGETHER:,} bytes of configurations and vocabularies")
        return found

    def weights(self) -> ForeignWeights:
        """The tensors by their headers alone, from one file or from those that an index names.

        Raises `UnsafeFormat` where there are only pickles, `CorruptFile` naming the file that is missing, too much or
        not what its header says, `UsageError` for an adapter without its model.
        """
        if WEIGHTS in self.paths:
            files = {WEIGHTS: self._followed(self.paths[WEIGHTS])}
            headers = {WEIGHTS: tensors.check_file(files[WEIGHTS])}
            promised = None
        elif INDEX in self.paths:
            placed, promised = _index(fs.read_bytes(self._followed(self.paths[INDEX]), limit=SMALL), self.paths[INDEX])
            files = self._shards(placed)
            headers = {name: tensors.check_file(path) for name, path in files.items()}
            _compare(placed, headers, self.paths[INDEX])
        else:
            raise self._none()
        size = sum(info.end - info.start for header in headers.values() for info in header.values())
        if promised is not None and size > promised:
            raise CorruptFile(f"{self.paths[INDEX]}: its total_size is {promised:,}, the files hold {size:,} bytes")
        if size > BUDGET.limit():
            raise CorruptFile(
                f"{self.folder}: {size:,} bytes of tensors, more than {BUDGET.limit():,}", hint=BUDGET.hint()
            )
        return ForeignWeights(files=files, size=size)

    def _shards(self, placed: Mapping[str, str]) -> dict[str, Path]:
        named = sorted(set(placed.values()))
        for name in named:
            if name not in self.paths:
                raise CorruptFile(
                    f"{self.folder / INDEX}: it names {name}, which is not in the folder", hint="download it again"
                )
        pattern = re.compile(r".*-[0-9]+-of-[0-9]+\.safetensors")
        extra = [name for name in self.paths if pattern.fullmatch(name) and name not in named]
        if extra:
            raise CorruptFile(
                f"{self.folder}: {extra[0]} is not in {INDEX}", hint="remove what belongs to another model"
            )
        return {name: self._followed(self.paths[name]) for name in named}

    def _followed(self, path: Path) -> Path:
        """The file itself. A link may lead to another file of the folder, or to the blobs of the cache around it."""
        if not path.is_symlink() and not path.parent.is_symlink():
            return path
        place, home = path.resolve(), self.folder.resolve()
        roots = [home]
        if home.parent.name == "snapshots":
            roots.append(home.parent.parent / "blobs")
        if not any(place.is_relative_to(root) for root in roots):
            raise CorruptFile(
                f"{path}: a link to {place}, outside the folder", hint="copy the file itself into the folder"
            )
        return place

    def _none(self) -> StoreError | UsageError:
        for path in self.paths.values():
            if path.suffix in _UNSAFE:
                tensors.refuse_unsafe(path)
        if _ADAPTER in self.paths:
            return UsageError(
                f"{self.folder}: an adapter without the model that it changes",
                hint="merge it into its model with the library that wrote it, and save the result",
            )
        return CorruptFile(f"{self.folder} holds neither {WEIGHTS} nor {INDEX}")


def _refuse_pointer(path: Path, head: bytes) -> None:
    found = kind_of(head)
    if found is not None and found.hint:
        raise CorruptFile(f"{path}: {found.name}", hint=found.hint)


def _index(data: bytes, path: Path) -> tuple[dict[str, str], int | None]:
    """File by tensor, and the bytes that all tensors are said to have. Raises `CorruptFile`."""
    _refuse_pointer(path, data[:HEAD])
    index = read_object({str(path): data}, str(path))
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(name, str) for name in placed.values()):
        raise CorruptFile(f"{path}: weight_map: expected a file for each tensor")
    if len(placed) > tensors.MAX_TENSORS:
        raise CorruptFile(f"{path}: {len(placed)} tensors, more than the {tensors.MAX_TENSORS} that are allowed")
    for tensor, name in placed.items():
        if not _SHARD.fullmatch(name):
            raise CorruptFile(
                f"{path}: {tensor[:80]!r}: expected the name of a .safetensors file here, found {name[:80]!r}"
            )
    described = index.get("metadata")
    size = described.get("total_size") if isinstance(described, dict) else None
    return placed, size if type(size) is int else None


def _compare(placed: Mapping[str, str], headers: Mapping[str, Mapping[str, object]], path: Path) -> None:
    """Raise `CorruptFile` unless every tensor is in the one file that the index says."""
    for name, header in headers.items():
        for tensor in header:
            if placed.get(tensor) != name:
                where = placed.get(tensor, "nowhere")
                raise CorruptFile(f"{path}: tensor {tensor[:80]!r} is in {name}; by the index it is in {where}")
    for tensor, name in placed.items():
        if tensor not in headers[name]:
            raise CorruptFile(f"{path}: tensor {tensor[:80]!r} is not in {name}, where the index has it")

"""Reads the `model.bin` of CTranslate2: names, shapes and numbers one after the other, nothing that could run."""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from zoo_core import CorruptFile

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 6
"""Of the binary format."""
MAX_VARIABLES = 100_000
MAX_RANK = 8
_MAX_BYTES = (1 << 32) - 1
"""Of a variable: the format counts them in 32 bits."""

_DTYPES = (("float32", 4), ("int8", 1), ("int16", 2), ("int32", 4), ("float16", 2), ("bfloat16", 2))
"""By their number in the file: name in torch and bytes per element."""
_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,512}")


class Model(NamedTuple):
    """What the file holds."""

    spec: str
    """The kind of model, for instance `WhisperSpec`."""
    revision: int
    """Of that kind's layout."""
    variables: dict[str, Tensor]
    """Copies by name; an alias is the tensor that it stands for."""


def read_model(data: bytes, *, where: str) -> Model:
    """The variables of a whole file. Raises `CorruptFile`, naming the variable, for anything but such a file.

    Every length is checked before anything of that length is made, so that no more memory is used than the file takes.
    """
    reader = _Reader(data, where)
    version = reader.number("<I", "the version")
    if version != VERSION:
        raise CorruptFile(f"{where}: version {version} of CTranslate2's format; {VERSION} is read")
    spec, revision = reader.text("the kind of model"), reader.number("<I", "the revision")
    variables: dict[str, Tensor] = {}
    for _ in range(reader.count("variables")):
        name = reader.name("a variable", variables)
        variables[name] = reader.variable(name)
    for _ in range(reader.count("aliases")):
        alias, target = reader.name("an alias", variables), reader.text("an alias's target")
        if target not in variables:
            raise CorruptFile(f"{where}: {alias!r} stands for {target[:80]!r}, which is not there")
        variables[alias] = variables[target]
    if reader.place != len(data):
        raise CorruptFile(f"{where}: {len(data) - reader.place} bytes behind the end")
    return Model(spec, revision, variables)


class _Reader:
    """Takes one thing after the other from the bytes."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.place = memoryview(data), where, 0

    def take(self, size: int, what: str) -> memoryview:
        if size > len(self.data) - self.place:
            self._refuse(f"{what} is cut off at byte {self.place}")
        self.place += size
        return self.data[self.place - size : self.place]

    def number(self, form: str, what: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form), what))
        return int(value)

    def count(self, what: str) -> int:
        found = self.number("<I", f"the number of {what}")
        if found > MAX_VARIABLES:
            self._refuse(f"{found} {what}, more than the {MAX_VARIABLES} that are allowed")
        return found

    def text(self, what: str) -> str:
        raw = bytes(self.take(self.number("<H", what), what))
        name = raw[:-1].decode("ascii", errors="replace")
        if raw[-1:] != b"\0" or not _NAME.fullmatch(name):
            self._refuse(f"{what} with a strange name at byte {self.place}")
        return name

    def name(self, what: str, known: dict[str, Tensor]) -> str:
        name = self.text(what)
        if name in known:
            self._refuse(f"{name!r} occurs twice")
        return name

    def variable(self, name: str) -> Tensor:
        import torch

        rank = self.number("<B", name)
        if rank > MAX_RANK:
            self._refuse(f"{name!r} has {rank} dimensions")
        shape = tuple(self.number("<I", name) for _ in range(rank))
        kind, size = self.number("<B", name), self.number("<I", name)
        if kind >= len(_DTYPES):
            self._refuse(f"{name!r} holds numbers of the unknown kind {kind}")
        dtype, width = _DTYPES[kind]
        if math.prod(max(length, 1) for length in shape) * width > _MAX_BYTES:
            self._refuse(f"{name!r}: a shape of {shape} is impossibly large")
        if size != math.prod(shape) * width:
            self._refuse(f"{name!r}: expected {math.prod(shape) * width} bytes for {shape} of {dtype}, found {size}")
        raw = bytearray(self.take(size, name))
        if not raw:
            return torch.empty(shape, dtype=getattr(torch, dtype))
        return torch.frombuffer(raw, dtype=getattr(torch, dtype)).reshape(shape)

    def _refuse(self, problem: str) -> NoReturn:
        raise CorruptFile(f"{self.where}: {problem}", hint="the file is not one that CTranslate2's converters wrote")

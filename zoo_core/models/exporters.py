"""Writes a checkpoint as files of another format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core.contract.specs import Head, documented

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.contract.interop import Interop
    from zoo_core.contract.predictor import Predictor
    from zoo_core.contract.preprocessor import Preprocessor
    from zoo_core.storage.fs import Buffer


@documented
@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """A checkpoint that is to be exported: every byte of it is the one that was registered."""

    name: str
    """Its full name, `name@version`."""
    reference: str
    """`name@sha256:...`."""
    model: str
    """Id of its model's family, `plugin/name`."""
    config: Mapping[str, Any]
    """Fields of the family's configuration."""
    head: Head
    """What the model ends in."""
    labels: tuple[str, ...]
    """Its label names in order."""
    license: str
    """Licence of the weights."""
    card: Mapping[str, Any]
    """All of its card as plain data."""
    preprocessor: Preprocessor | None
    """What reads its inputs."""
    interop: Interop | None
    """Writes the small files of the family's other library; None for a family without one."""
    tensors: Callable[[], dict[str, Tensor]]
    """Its weights by name, those of a delta merged with its base."""
    predictor: Callable[[], Predictor]
    """Builds the model with its task, in evaluation mode on the CPU. Raises `UsageError` where it has no head for it."""


class Exporter(ABC):
    """What an `ExporterSpec` stands for. It reads no disk and writes none: the core keeps all of its files, or none."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def files(self, source: ExportSource) -> Mapping[str, Sequence[Buffer]]:
        """The content of each file of the folder by its name, in pieces. Raises `UsageError` for what the format can't say."""

"""Export formats of a plugin's own: a list of tensors, and ways to go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo_core import Exporter, ExporterSpec, ExportSource, UsageError, hookimpl

zoo_api = (2, 0)


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """How the table looks."""

    separator: str = ","
    """Between columns."""


class Table(Exporter):
    """`tensors.csv`: name and shape of each tensor."""

    def files(self, source: ExportSource) -> dict[str, Sequence[bytes]]:
        """One line for each tensor. Raises `UsageError` for a model without labels."""
        if not source.labels:
            raise UsageError(f"{source.name}: a table is for models with labels")
        rows = [self.config.separator.join((name, *map(str, one.shape))) for name, one in source.tensors().items()]
        return {"tensors.csv": ["\n".join(rows).encode(), b"\n"]}


class Stumbling(Exporter):
    """Raises what no exporter should."""

    def files(self, source: ExportSource) -> dict[str, Sequence[bytes]]:
        """Nothing."""
        raise KeyError(source.name)


class Loose(Exporter):
    """Gives text where bytes are wanted."""

    def files(self, source: ExportSource) -> Any:
        """One line."""
        return {"name.txt": "toy"}


@hookimpl
def zoo_exporters() -> list[ExporterSpec]:
    """One that works, and two that don't."""
    return [
        ExporterSpec(
            name="table",
            summary="names and shapes of tensors",
            target="zoo_toys.exporters:Table",
            config="zoo_toys.exporters:TableConfig",
        ),
        ExporterSpec(name="stumbling", summary="raises", target="zoo_toys.exporters:Stumbling"),
        ExporterSpec(name="loose", summary="gives text", target="zoo_toys.exporters:Loose"),
    ]

"""What a card says of its files, its data, its figures, and of the checkpoint that it differs from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from zoo_core.contract.config import AnyFloat, Config, Matches, NonNegativeInt
from zoo_core.registry.verdicts import Direction

Sha256 = Annotated[str, Matches(r"[0-9a-f]{64}", "64 lower-case hex digits")]
_FileName = Annotated[
    str, Matches(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "a plain file name of letters, digits, '_', '.' and '-'")
]


class FileEntry(Config):
    """One file of a checkpoint."""

    path: _FileName
    """File name, without any folder."""
    sha256: Sha256
    """Digest of the content, 64 lower-case hex digits; computed by the tool that wrote the file."""
    size: NonNegativeInt
    """Bytes."""


class DataRecord(Config):
    """The data that a checkpoint was trained on."""

    name: str
    """Name of the data set or of the user's folder."""
    digest: Sha256
    """sha256 over what was read, 64 lower-case hex digits."""
    license: str = ""
    """Licence of the data itself."""
    licenses: Mapping[str, str] = field(default_factory=dict)
    """Licence of each source, by its name, where the data comes from several."""
    source: str = ""
    """Where it comes from, in words."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Samples in each split."""


class Metric(Config):
    """One measured figure, with what it takes to measure it again."""

    name: str
    """Name of the metric, as the task gives it."""
    value: AnyFloat
    """The figure."""
    data: str
    """Name of the data set."""
    split: str
    """Split it was measured on."""
    seed: int | None = None
    """Seed of the run that gave it."""
    samples: NonNegativeInt = 0
    """Samples measured."""
    baselines: Mapping[str, AnyFloat] = field(default_factory=dict)
    """The same metric of baselines, by their names."""
    measured_with: str = ""
    """The checkpoint that it was measured with, `name@sha256:...`, or the features, where there are some: a figure in the
    features of one network compares with no figure in those of another."""
    interval: tuple[AnyFloat, AnyFloat] | None = None
    """95 % bootstrap interval over the samples: its lower and its upper end; None where there is none."""
    better: Direction = ""
    """Whether less (`min`) or more (`max`) of it is better; empty on older cards, and where the task doesn't tell."""

    def check(self) -> None:
        """An interval ends after it starts."""
        self.require("interval", "its lower end first", not self.interval or self.interval[0] <= self.interval[1])


class AdapterRecord(Config):
    """How the weights of a delta checkpoint and those of its base make the whole model's."""

    name: str
    """The adapter that merges them: `plugin/name`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Its whole configuration."""
    parameters: NonNegativeInt = 0
    """Numbers that the delta itself holds."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """What the first part of a name of the base's tensors reads in this model, as `{"": "bert."}` for a bare backbone."""
    dropped: tuple[str, ...] = ()
    """Tensors of the base, so named, that this model has no place for, as those of another head."""


class PartRecord(Config):
    """The architecture of one of the parts that a model is put together from, a bare backbone."""

    model: str
    """Full name of its family: `plugin/family`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Its whole, resolved configuration."""

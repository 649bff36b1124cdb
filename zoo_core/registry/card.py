"""The card of a checkpoint: what it is, what it was made from, which bytes it consists of, and how it is referred to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from zoo_core.contract.config import Config, FieldError, Interval, Matches, NonNegativeInt
from zoo_core.contract.schema import Document, Place, from_data, locate, to_data
from zoo_core.errors import CardError, UsageError
from zoo_core.registry.records import AdapterRecord, DataRecord, FileEntry, Metric, PartRecord

CARD_SCHEMA = 2
"""Version of the card's format that this zoo-core reads up to; it writes 1 where a card needs nothing of 2."""
MAX_VERSION = 999_999_999
"""The highest version that a checkpoint may have: what a reference and a manifest's file name have room for."""
WEIGHTS = "model.safetensors"
"""Name of the file with a checkpoint's tensors."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_REFERENCE = re.compile(r"(?:([a-z0-9-]{1,100})/)?([^@/]+)(?:@(?:([1-9][0-9]{0,8})|sha256:([0-9a-f]{8,64})))?")
_NUMBERS = re.compile(r"([0-9]+)")
_SECOND = ("base", "adapter", "parents", "parts", "uses")
"""Fields that the format has since its version 2."""

_Distribution = Annotated[
    str, Matches(r"(?=.{1,100}$)[a-z0-9]+(-[a-z0-9]+)*", "a distribution's name in lower case, like zoo-example")
]


class Card(Config):
    """Everything about one checkpoint but its bytes."""

    name: str
    """`family_size.recipe_data`."""
    version: Annotated[int, Interval(ge=1, le=MAX_VERSION)] | None = None
    """Number of this checkpoint among those of its name, from 1; None until it is registered."""
    summary: str = ""
    """One line for listings."""
    plugin: _Distribution
    """Distribution that builds the model."""
    model: str
    """Full name of the model family: `plugin/family`."""
    size: str = ""
    """Named size within the family."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The model's whole, resolved configuration."""
    task: str = ""
    """Task it was trained for, `plugin/name`, or the name alone on older cards; empty for a bare backbone."""
    modality: str = ""
    """Kind of input, for listings."""
    labels: tuple[str, ...] = ()
    """Label names in the order of their numbers; empty where there are none."""
    preprocessor: tuple[str, ...] = ()
    """Names of those `files` that make up the preprocessor."""
    license: str = ""
    """Licence of the weights."""
    paper: str = ""
    """Source of the method: title, venue and number."""
    files: tuple[FileEntry, ...]
    """All files of the checkpoint."""
    parameters: NonNegativeInt = 0
    """Number of parameters."""
    parent: str = ""
    """`name@sha256:<64 hex digits>` of the checkpoint it was derived from; empty when trained from scratch."""
    base: str = ""
    """The same of the checkpoint that the weights are a delta on, which `adapter` says how to merge; empty for whole weights."""
    adapter: AdapterRecord | None = None
    """How the delta and its base make the whole model; None for a checkpoint that holds all of it."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """The same of the checkpoint that each part comes from, where the model was put together from several."""
    parts: Mapping[str, PartRecord] = field(default_factory=dict)
    """What the model is put together from, by part."""
    uses: tuple[str, ...] = ()
    """The same of other checkpoints that its run asked for by name, like a teacher."""
    data: DataRecord | None = None
    """Training data."""
    recipe: Mapping[str, Any] | None = None
    """The resolved recipe as plain data."""
    seed: int | None = None
    """Seed of the run."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions and machine, by name."""
    metrics: tuple[Metric, ...] = ()
    """Measured figures."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the run went: steps, seconds, device and the like."""
    notes: str = ""
    """Free text: limits, known failures."""

    def check(self) -> None:
        """Names are names, nothing occurs twice, and what is referred to is there."""
        self.require("name", f"a checkpoint's name: {NAME_RULE}", valid_name(self.name))
        plugin, _, family = self.model.partition("/")
        self.require("model", f"{self.plugin}/family", plugin == self.plugin and bool(_MODEL.fullmatch(family)))
        _check_unique("labels", self.labels)
        _check_unique("files", [entry.path.lower() for entry in self.files])
        lacking = sorted(set(self.preprocessor) - {entry.path for entry in self.files})
        if lacking:
            raise FieldError("preprocessor", f"{lacking[0]!r} is not among the files")
        for place, reference in (("parent", self.parent), ("base", self.base)):
            self.require(place, "name@sha256:<64 hex digits>", not reference or is_pinned(reference))
        for part, reference in self.parents.items():
            if part not in self.parts or not is_pinned(reference):
                raise FieldError(f"parents.{part}", "expected name@sha256:<64 hex digits> of one of the parts")
        self.require("uses", "name@sha256:<64 hex digits> each", all(map(is_pinned, self.uses)))
        self.require("adapter", "given together with base", bool(self.base) == (self.adapter is not None))

    @property
    def schema_version(self) -> int:
        """The oldest format that can say what the card says."""
        return 2 if any(getattr(self, name) for name in _SECOND) else 1

    @property
    def plugins(self) -> tuple[str, ...]:
        """Distributions that it takes to load the checkpoint, the model's first."""
        named = [self.adapter.name.partition("/")[0]] if self.adapter else []
        named += [part.model.partition("/")[0] for part in self.parts.values()]
        return tuple(dict.fromkeys([self.plugin, *named]))

    @property
    def full_name(self) -> str:
        """`name@version`, or the bare name of a card that isn't registered yet."""
        return self.name if self.version is None else f"{self.name}@{self.version}"

    @property
    def task_name(self) -> str:
        """The task without the plugin that brings it: what `Head.task` says and listings show."""
        return self.task.rpartition("/")[2]

    @property
    def weights(self) -> FileEntry:
        """The entry of the file with the tensors. Raises `CardError` when there is none."""
        return self.file(WEIGHTS)

    @property
    def digest(self) -> str:
        """sha256 of the weights: what `name@sha256:...` and a child's `parent` refer to; empty where there are none."""
        return next((entry.sha256 for entry in self.files if entry.path == WEIGHTS), "")

    def with_base(self, base: str, adapter: AdapterRecord, parameters: int) -> Card:
        """The card of the same model whose weights are a delta with that many numbers."""
        return dataclasses.replace(self, base=base, adapter=dataclasses.replace(adapter, parameters=parameters))

    def file(self, path: str) -> FileEntry:
        """The entry of the file called `path`. Raises `CardError` when there is none."""
        for entry in self.files:
            if entry.path == path:
                return entry
        has = ", ".join(entry.path for entry in self.files) or "none"
        raise CardError(f"{self.full_name}: no file {path!r} on the card", hint=f"its files: {has}")

    def same_checkpoint(self, other: Card) -> bool:
        """Whether both cards describe the same model: equal files, and equal in all that decides what they compute."""
        return (
            all(getattr(self, name) == getattr(other, name) for name in _IDENTITY)
            and _same_task(self.task, other.task)
            and _digests(self) == _digests(other)
        )

    def same_run(self, other: Card) -> bool:
        """Whether one run made both, of the same files."""
        run = self.training.get("run")
        return bool(run) and run == other.training.get("run") and _digests(self) == _digests(other)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """How somebody asks for a checkpoint."""

    name: str
    """The checkpoint's name."""
    version: int | None = None
    """The version asked for; None for the newest."""
    digest_prefix: str = ""
    """First digits, at least 8, of the weights' sha256; empty when the digest isn't asked for."""
    place: str = ""
    """The plugin or the layer to look in; empty for where the name belongs."""

    def matches(self, card: Card) -> bool:
        """Whether the card is what is asked for, or one of several."""
        return (
            card.name == self.name
            and self.version in (None, card.version)
            and card.digest.startswith(self.digest_prefix)
        )

    def __str__(self) -> str:
        """The text that `parse_reference` reads."""
        name = f"{self.place}/{self.name}" if self.place else self.name
        if self.digest_prefix:
            return f"{name}@sha256:{self.digest_prefix}"
        return name if self.version is None else f"{name}@{self.version}"


NAME_RULE = "lower-case letters, digits, '_' and '-', at most one '.' inside, at most 128 characters"
"""What makes a checkpoint's name, in words."""

_IDENTITY = ("name", "plugin", "model", "config", "labels", "preprocessor", "base", "adapter", "parts")


def parse_card(
    data: Any,
    where: str,
    lines: Mapping[Place, int] | None = None,
    path: Place = (),
) -> Card:
    """The card held by plain data; `path` is its place in the document.

    Raises `CardError` with file, line and field for whatever breaks the schema, and for a newer schema.
    """
    if not isinstance(data, Mapping):
        return from_data(Card, data, where=where, lines=lines, path=path, error=CardError)
    check_schema_version(data, where, lines, path)
    fields = {key: value for key, value in data.items() if key != "schema_version"}
    return from_data(Card, fields, where=where, lines=lines, path=path, error=CardError)


def parse_registered(document: Document, path: Place = ()) -> Card:
    """The card at `path` of a document that holds registered cards, which have a version. Raises `CardError`."""
    data = document.data
    for step in path:
        data = data[step]
    card = parse_card(data, document.where, document.lines, path)
    if card.version is None:
        place = locate(document.where, (*path, "version"), document.lines)
        raise CardError(f"{place}: missing; a registered card has a version, a whole number from 1")
    return card


def check_schema_version(
    data: Mapping[str, Any], where: str, lines: Mapping[Place, int] | None = None, path: Place = ()
) -> None:
    """The format is no newer than ours; a missing `schema_version` is 1. Raises `CardError`."""
    version = data.get("schema_version", 1)
    place = locate(where, (*path, "schema_version"), lines)
    if type(version) is not int or version < 1:
        raise CardError(f"{place}: expected a whole number from 1, found {version!r}")
    if version > CARD_SCHEMA:
        raise CardError(
            f"{place}: written by a newer zoo-core (format {version}; this one knows up to {CARD_SCHEMA})",
            hint="upgrade zoo-core: pip install --upgrade zoo-core",
        )


def card_to_data(card: Card) -> dict[str, Any]:
    """The card as plain data that `parse_card` reads back equal; fields at their defaults are left out."""
    return {"schema_version": card.schema_version, **_without_defaults(card)}


def valid_name(name: str) -> bool:
    """Whether `name` may name a checkpoint."""
    return len(name) <= 128 and _NAME.fullmatch(name) is not None


def is_pinned(text: str) -> bool:
    """Whether `text` is a name with the whole digest of its weights, `name@sha256:<64 hex digits>`."""
    name, _, digest = text.partition("@sha256:")
    return valid_name(name) and _SHA256.fullmatch(digest) is not None


def parse_reference(text: str) -> Reference:
    """`name`, `name@3` or `name@sha256:<at least 8 hex digits>`, with a plugin or a layer and `/` in front or not.

    Raises `UsageError` for anything else.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or not valid_name(match[2]):
        raise UsageError(
            f"{text[:80]!r} is not a checkpoint's name", hint=f"name, name@3 or name@sha256:...; {NAME_RULE}"
        )
    version = int(match[3]) if match[3] else None
    return Reference(name=match[2], version=version, digest_prefix=match[4] or "", place=match[1] or "")


def looks_like_path(text: str) -> bool:
    """Whether `text` can only mean a path: a separator inside, a `.` or `~` in front, or `file:`."""
    return "/" in text or "\\" in text or text.startswith((".", "~", "file:"))


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that puts `toy_2` before `toy_10`."""
    return tuple(int(part) if index % 2 else part for index, part in enumerate(_NUMBERS.split(name)))


def _without_defaults(record: Any) -> dict[str, Any]:
    """A dataclass as plain data, less the fields that hold their default."""
    data: dict[str, Any] = {}
    for each in dataclasses.fields(record):
        value = getattr(record, each.name)
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        if value is None or value == default:
            continue
        if isinstance(value, Mapping) and value and all(map(dataclasses.is_dataclass, value.values())):
            data[each.name] = {name: _without_defaults(item) for name, item in value.items()}
            continue
        nested = isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0])
        if nested:
            data[each.name] = [_without_defaults(item) for item in value]
        else:
            data[each.name] = _without_defaults(value) if dataclasses.is_dataclass(value) else to_data(value)
    return data


def _same_task(first: str, second: str) -> bool:
    """Whether two cards may name one task; an older card leaves its plugin out."""
    if "/" in first and "/" in second:
        return first == second
    return first.rpartition("/")[2] == second.rpartition("/")[2]


def _digests(card: Card) -> set[tuple[str, str]]:
    return {(entry.path, entry.sha256) for entry in card.files}


def _check_unique(name: str, values: Any) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise FieldError(name, f"{value!r} occurs twice")
        seen.add(value)

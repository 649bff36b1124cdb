"""Checkpoint folders of another library: how a family reads and writes them, and how each field of their files is understood."""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from zoo_core.contract.config import present_names
from zoo_core.contract.preprocessor import Preprocessor
from zoo_core.contract.schema import from_data, to_data
from zoo_core.contract.specs import Head
from zoo_core.errors import CorruptFile, UsageError

Config = TypeVar("Config")

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """What tensors are called in another library and here: one ordered table for both directions."""

    pairs: tuple[tuple[str | tuple[str, ...], str | None], ...] = ()
    """Their whole name and ours, the first pair that fits; `*` stands for the same on both sides. Several names of theirs
    are one tensor here, joined along the first axis; those without a name of ours are left out. Others keep their name."""
    prefix: str = ""
    """Of their names, in folders that have it."""
    rows: Mapping[str, list[int] | slice] = field(default_factory=dict)
    """Of one of our tensors, by its name: the rows of theirs that it has, in our order."""

    def ours(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A folder's tensors under our names. Raises `CorruptFile` for one of several, or a row, that is missing."""
        import torch

        found: dict[str, Tensor] = {}
        parts: dict[str, dict[str, Tensor | None]] = {}
        for name, tensor in tensors.items():
            ours, several, place = self._ours(name.removeprefix(self.prefix))
            if ours is not None and len(several) == 1:
                found[ours] = tensor
            elif ours is not None:
                parts.setdefault(ours, dict.fromkeys(several))[several[place]] = tensor
        for name, those in parts.items():
            present = [tensor for tensor in those.values() if tensor is not None]
            if missing := [theirs for theirs, tensor in those.items() if tensor is None]:
                raise CorruptFile(f"the tensors don't fit: {name} needs {missing[0]}, which is missing")
            found[name] = torch.cat(present)
        for name in self.rows.keys() & found.keys():
            try:
                found[name] = found[name][self.rows[name]]
            except IndexError:
                raise CorruptFile(f"the tensors don't fit: {name} has {len(found[name])} rows only") from None
        return found

    def theirs(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our tensors under their names, without the prefix; what is one here and several there is cut evenly."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            names = next(
                (made for theirs, ours in self.pairs if ours and (made := _filled(ours, theirs, name))), [name]
            )
            found |= zip(names, tensor.chunk(len(names)) if len(names) > 1 else [tensor], strict=True)
        return found

    def _ours(self, name: str) -> tuple[str | None, Sequence[str], int]:
        """Our name, the patterns of theirs that make up that tensor, and which of them this is."""
        for theirs, ours in self.pairs:
            several = (theirs,) if isinstance(theirs, str) else theirs
            for place, pattern in enumerate(several):
                if made := _filled(pattern, ours or "", name):
                    return made[0] or None, several, place
        return name, (name,), 0


def _filled(pattern: str, templates: str | tuple[str, ...], name: str) -> list[str]:
    """The templates with what the pattern's stars stand for in a name; empty where it doesn't fit."""
    found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.*?)"), name)
    several = (templates,) if isinstance(templates, str) else templates
    return (
        [template.replace("*", "%s") % found.groups()[: template.count("*")] for template in several] if found else []
    )


@dataclass(frozen=True, kw_only=True)
class ForeignCheckpoint:
    """A checkpoint as another library lays it out, less its tensors."""

    config: Mapping[str, Any]
    """Fields of the model spec's configuration."""
    head: Head
    """What the model ends in."""
    labels: tuple[str, ...] = ()
    preprocessor: Preprocessor | None = None
    license: str = ""
    notices: tuple[str, ...] = ()
    """What the user should know of the folder: fields that are not taken over, a sentence each."""
    keys: KeyTable = KeyTable()
    """What its tensors are called."""


class Interop(ABC):
    """Reads and writes the checkpoint folders of another library; keeps nothing of one for the next."""

    @abstractmethod
    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """Understand the small files of a folder (configuration, vocabulary). Raises `CorruptFile`, naming the file."""

    @abstractmethod
    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """The small files that make the folder open in the other library."""

    def convert(self, tensors: Mapping[str, Tensor], foreign: ForeignCheckpoint) -> dict[str, Tensor]:
        """A folder's tensors as ours, by the keys of what `read` made of it; a family that keeps other rows picks them here."""
        return foreign.keys.ours(tensors)


MAX_JSON = 64 << 20
"""Bytes of a file of a foreign folder that is read as JSON."""
CODE = "auto_map"
"""Names classes that a folder brings along as source code, which is never run."""


@dataclass(frozen=True, kw_only=True)
class FieldRules:
    """What is known of the fields of one file that another library writes."""

    file: str
    """Name of the file."""
    read: frozenset[str] = frozenset()
    """Fields that the reader takes over or compares itself."""
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Fields of which only these values are supported; leaving the field out means the first."""
    harmless: frozenset[str] = frozenset()
    """Fields that change no answer."""
    advice: Mapping[str, str] = field(default_factory=dict)
    """Fields that change how the other library answers, and what to ask for here instead; named where they are set."""

    def check(self, theirs: Mapping[str, Any]) -> tuple[str, ...]:
        """What the user should know of the fields, a sentence each. Raises `UsageError` for a value that isn't supported.

        A field that nobody knows is named in a sentence: it may belong to a newer version of the other library.
        """
        for name, allowed in self.fixed.items():
            if not any(_same(theirs.get(name, allowed[0]), value) for value in allowed):
                raise unsupported(self.file, name, allowed[0], theirs[name])
        if theirs.get(CODE):
            raise UsageError(
                f"{self.file}: {CODE}: expected a class of the library itself, found code that the folder brings along",
                hint="code of a folder is never run; use a folder that the library opens without its own code",
            )
        notices = [
            f"{self.file}: {name} is {_short(theirs[name])}, which is not taken over; {instead}"
            for name, instead in self.advice.items()
            if theirs.get(name) not in (None, False, "", [], {})
        ]
        known = {*self.read, *self.fixed, *self.harmless, *self.advice, CODE}
        unknown = sorted(name for name in theirs if name not in known and not name.startswith("_"))
        if unknown:
            shown = ", ".join(name[:80] for name in unknown[:12]) + (" ..." if len(unknown) > 12 else "")
            notices.append(f"{self.file}: unknown fields are left out: {shown}")
        return tuple(notices)


def unsupported(file: str, name: str, expected: Any, found: Any) -> UsageError:
    """The error for a field that changes answers and has a value that isn't supported."""
    return UsageError(
        f"{file}: {name}: expected {_short(expected)}, found {_short(found)}",
        hint="the answers would differ from those of the library that wrote the folder",
    )


def read_json(files: Mapping[str, bytes], name: str) -> Any:
    """What a JSON file of a folder holds. Raises `CorruptFile`, naming it: missing, too large, no JSON, a number without end."""
    if name not in files:
        raise CorruptFile(f"{name} is missing")
    if len(files[name]) > MAX_JSON:
        raise CorruptFile(f"{name}: {len(files[name])} bytes, more than the {MAX_JSON} that are allowed")
    try:
        return json.loads(files[name], parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{name}: not JSON: {str(error)[:200]}") from None


def read_object(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON object among a folder's files. Raises `CorruptFile` as `read_json` does, and for something else."""
    data = read_json(files, name)
    if not isinstance(data, dict):
        raise CorruptFile(f"{name}: expected an object, found {type(data).__name__}")
    return data


def json_file(content: Any) -> bytes:
    """JSON for a checkpoint: the same bytes for the same content."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def stored_settings(kind: type[Config], files: Mapping[str, bytes], name: str) -> Config:
    """A configuration from a checkpoint's file. Raises `CorruptFile`, naming the field, for anything else."""
    return from_data(kind, read_json(files, name), where=name, error=CorruptFile)


def changed_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """A configuration with other settings, as a recipe asks for them. Raises `RecipeError` for anything else."""
    return from_data(
        type(config), {**to_data(config), **present_names(type(config), settings)}, where="recipe: preprocessor"
    )


def _finite(written: str) -> float:
    """A number of a file: `1e999`, `NaN` and the like are none that a configuration can hold."""
    if not math.isfinite(value := float(written)):
        raise ValueError(f"{written} is not a finite number")
    return value


def numbered_labels(named: Any, where: str) -> tuple[str, ...]:
    """Labels from an object of names by number. Raises `CorruptFile` where the numbers don't run from 0."""
    if not isinstance(named, Mapping) or {str(key) for key in named} != {str(n) for n in range(len(named))}:
        raise CorruptFile(f"{where} doesn't number its labels from 0")
    names = {str(key): label for key, label in named.items()}
    return distinct_labels([str(names[str(number)]) for number in range(len(names))])


def distinct_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels that occur twice get their numbers behind them: `crane (134)`."""
    times = Counter(labels)
    names: dict[str, None] = {}
    for number, label in enumerate(labels):
        name = f"{label} ({number})" if times[label] > 1 else label
        while name != label and (name in times or name in names):
            name += "'"
        names[name] = None
    return tuple(names)


def problem_task(problem: Any, labels: int, tasks: Mapping[str, str], where: str) -> str:
    """The task that a classifier's field for its kind of problem stands for, by the words of `tasks`.

    A single output without a word gets a sigmoid where the folder's library answers. Raises `UsageError` for a kind that
    `tasks` doesn't have.
    """
    kind = problem or ("multi_label_classification" if labels == 1 else "single_label_classification")
    if not isinstance(kind, str) or kind not in tasks:
        raise UsageError(
            f"{where}: expected one of {', '.join(tasks)}, found {_short(kind)}"
            + ("" if problem else f" (no word, and {labels} output)"),
            hint="answers of another kind of problem would be wrong",
        )
    return tasks[kind]


def _same(found: Any, value: Any) -> bool:
    """Equal, and of one kind: a true is no 1."""
    return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."

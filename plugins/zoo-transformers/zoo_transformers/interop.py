"""Folders of Transformers: what all families have in common in reading theirs and writing what the Auto classes open."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from zoo_core import UsageError
from zoo_core.contract import FieldRules, ForeignCheckpoint, Head, Interop, KeyTable, problem_task, read_object
from zoo_core.contract import from_data as typed
from zoo_transformers.fields import labels_of, ours_of


class TransformersInterop(Interop):
    """A family's tables; what is peculiar to it is in `completed` and `preprocessor_files`."""

    configuration: ClassVar[type]
    """Our configuration."""
    library: ClassVar[type[Any]]
    """Their class of configurations, which says what a field means that a folder leaves out."""
    architecture_of: ClassVar[Any]
    """`(config, head)`, a static method: ours in their words."""
    fields: ClassVar[Mapping[str, str]]
    """Our numbers, and theirs; where several of theirs, with blanks between them, are one here, they have to agree."""
    heads: ClassVar[Mapping[str, str]]
    """Our task by their class. A folder that names no class has the first, and of several for one task the first is written."""
    problems: ClassVar[Mapping[str, str]] = {}
    """Our task by their word for what a classifier's outputs are; the first is the task that `heads` has."""
    rules: ClassVar[tuple[FieldRules, ...]]
    """What is known of the fields of each file."""
    keys: ClassVar[KeyTable] = KeyTable()
    """What their tensors are called."""

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """Understand a folder. Raises `CorruptFile`, or `UsageError` for what ours can't express."""
        given, usual = read_object(files, "config.json"), self.library().to_dict()
        theirs = {**usual, **given}
        names = theirs.get("architectures") or [next(iter(self.heads))]
        if not isinstance(names, list) or not isinstance(names[0], str) or names[0] not in self.heads:
            raise UsageError(
                f"config.json: architectures: expected one of {', '.join(self.heads)}, found {names!r:.80}"
            )
        notices = [
            sentence
            for rules in self.rules
            if rules.file in files
            for sentence in rules.check(read_object(files, rules.file))
        ]
        task = self.heads[names[0]]
        config = ours_of(self.fields_of(task), theirs, usual)
        labels = labels_of(given) if task in self.problems.values() else ()
        if labels:
            task = problem_task(theirs.get("problem_type"), len(labels), self.problems, "config.json: problem_type")
        foreign = ForeignCheckpoint(
            config=config,
            head=Head(task=task, labels=len(labels)),
            labels=labels,
            license=str(theirs.get("license") or ""),
            notices=tuple(notices),
            keys=self.keys_of(task),
        )
        return self.completed(foreign, theirs, files)

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """`config.json`, and the preprocessor's files. Raises `UsageError` for a task that no class of theirs has."""
        task = foreign.head.task or next(iter(self.heads.values()))
        problem = next((word for word, known in self.problems.items() if known == task), "")
        single = next(iter(self.problems.values()), "")
        names = [name for name, known in self.heads.items() if known == (single if problem else task)]
        if not names:
            hint = f"it has classes for {', '.join(dict.fromkeys(self.heads.values()))}"
            raise UsageError(f"Transformers has no class for a {self.library().model_type} of {task}", hint=hint)
        ours: Any = typed(self.configuration, dict(foreign.config), where="configuration")
        theirs: dict[str, Any] = self.architecture_of(ours, foreign.head).to_diff_dict()
        theirs["architectures"] = names[:1]
        if problem and task != single:
            theirs["problem_type"] = problem
        if foreign.labels:
            theirs["id2label"] = {str(number): label for number, label in enumerate(foreign.labels)}
            theirs["label2id"] = {label: number for number, label in enumerate(foreign.labels)}
        if foreign.license:
            theirs["license"] = foreign.license
        return {"config.json": json_bytes(theirs), **self.preprocessor_files(foreign, ours)}

    def fields_of(self, task: str) -> Mapping[str, str]:
        """`fields` in a folder of that task."""
        return self.fields

    def keys_of(self, task: str) -> KeyTable:
        """`keys` in a folder of that task."""
        return self.keys

    @abstractmethod
    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """What the tables tell of a folder with what they don't, the preprocessor above all; raises as `read`.

        `theirs` is `config.json` with the usual values of what it leaves out.
        """

    def preprocessor_files(self, foreign: ForeignCheckpoint, ours: Any) -> dict[str, bytes]:
        """The files of a preprocessor, none for a model without; `ours` is its configuration."""
        return {}


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """A file of theirs."""
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()

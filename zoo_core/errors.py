"""Every error the zoo raises on purpose, as one tree.

ZooError                    exit code 1   something went wrong that the user can act on
├── UsageError              exit code 2   a wrong argument, option or combination of them
│   ├── UnknownName                       no such model, data set, task, loss, key ...; names the nearest
│   ├── AmbiguousName                     several things answer to the name; names them all
│   └── RecipeError                       a recipe or an override that can't be run
├── PluginError             exit code 3   a plugin is broken, incompatible or in conflict
│   └── MissingPlugin                     the plugin that provides it isn't installed
├── DataError               exit code 4   data that is missing, unreadable, malformed or empty
├── StoreError              exit code 5   the checkpoint store or one of its files
│   ├── CardError                         a card or manifest that breaks the schema
│   ├── CorruptFile                       bytes that are not what their format demands
│   ├── DigestMismatch                    bytes that are not the ones that were registered
│   ├── UnsafeFormat                      a format that could run code; never opened
│   ├── DiskError                         no space, no permission, an I/O error
│   └── ArchMismatch                      tensors that don't fit the architecture
└── TrainingError           exit code 6   a run that can't go on
    ├── NonFiniteLoss                     the loss or the gradients are not finite
    └── ResumeError                       a run folder that can't be continued
"""

from __future__ import annotations

from collections.abc import Iterable


class ZooError(Exception):
    """A failure with one clear message: what and where in `message`, what to do in `hint`."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message}\n{self.hint}" if self.hint else self.message
        return printable(text)


class UsageError(ZooError):
    """A wrong argument, option or combination of them."""

    exit_code = 2


class UnknownName(UsageError):
    """No such name; the message lists the nearest valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], *, where: str = "", hint: str = "") -> None:
        names = sorted(set(valid))
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}", hint=hint or nearest(name, names))
        self.name = name


class AmbiguousName(UsageError):
    """Several things answer to the name; the message names them all and the way out."""


class RecipeError(UsageError):
    """A recipe or an override that can't be run."""


class PluginError(ZooError):
    """A plugin is broken, incompatible or in conflict with another."""

    exit_code = 3


class MissingPlugin(PluginError):
    """The plugin that provides a thing isn't installed."""

    def __init__(self, plugin: str, what: str) -> None:
        super().__init__(f"{what} needs {plugin}, which is not installed", hint=f"pip install {plugin}")
        self.plugin = plugin


class DataError(ZooError):
    """Data that is missing, unreadable, malformed or empty; names the file and, where there is one, the line."""

    exit_code = 4


class StoreError(ZooError):
    """The checkpoint store or one of its files."""

    exit_code = 5


class CardError(StoreError):
    """A card or manifest that breaks the schema; names the file, the line and the field."""


class CorruptFile(StoreError):
    """Bytes that are not what their format demands."""


class DigestMismatch(StoreError):
    """Bytes that are not the ones that were registered."""


class UnsafeFormat(StoreError):
    """A format that could run code; it is never opened."""


class DiskError(StoreError):
    """No space, no permission or an I/O error; names the path."""


class ArchMismatch(StoreError):
    """Tensors that don't fit the architecture; lists the first ten differences."""


class TrainingError(ZooError):
    """A run that can't go on."""

    exit_code = 6


class NonFiniteLoss(TrainingError):
    """The loss or the gradients stopped being finite."""


class ResumeError(TrainingError):
    """A run folder that can't be continued as asked."""


def nearest(name: str, valid: Iterable[str], *, limit: int = 3) -> str:
    """One sentence with the valid names nearest to `name`, or all of them when they are few."""
    import difflib  # not needed while all names are right

    names = sorted(set(valid))
    close = difflib.get_close_matches(name, names, n=limit, cutoff=0.5)
    if close:
        return "did you mean " + ", ".join(close) + "?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:12])
    return f"valid: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def printable(text: str) -> str:
    """`text` with control characters escaped, so that a file name or a tensor name can't steer the terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)

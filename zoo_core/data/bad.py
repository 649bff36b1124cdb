"""One policy for bad samples: an error lists them all, or they are left out, counted, up to a share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

from zoo_core.data.options import BadSamples
from zoo_core.errors import DataError, printable

SHOWN = 20
"""Bad samples that an error or a notice lists; the others are counted."""


def skips(config: Any) -> TypeGuard[BadSamples]:
    """Whether a data set's configuration has bad samples left out; one that doesn't speak of them has not."""
    return isinstance(config, BadSamples) and config.bad == "skip"


class Fault(NamedTuple):
    """Why something is no sample."""

    where: str
    """File and line, row, or the name of a file."""
    what: str
    """What is wrong, the same words for the same fault."""
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Faults:
    """What a reader finds wrong while it goes on: every fault is counted, the first ones are kept."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Fault] = []
        self.notices: list[str] = []
        """What the user should know besides, each once."""
        self._places: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, where: str, what: str, hint: str = "") -> None:
        """A sample that can't be one."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(Fault(where, what, hint))
        self._counts[what] = self._counts.get(what, 0) + 1
        places = self._places.setdefault(what, [])
        if len(places) < SHOWN:
            places.append(where)

    def note(self, notice: str) -> None:
        """Something to tell, once."""
        if notice not in self.notices:
            self.notices.append(notice)

    def reasons(self) -> str:
        """Each kind of fault with its number and its places, the most frequent first."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1])
        told = [f"{count:,} {what} ({_listed(self._places[what], count)})" for what, count in ranked[:SHOWN]]
        return printable(", ".join(told) + (" ..." if len(ranked) > SHOWN else ""))


class FirstFault(Faults):
    """Raises `DataError` for the first fault, for a reader that has no policy."""

    def add(self, where: str, what: str, hint: str = "") -> None:
        """Raise."""
        raise DataError(f"{where}: {what}", hint=hint)


def settle_faults(faults: Faults, kept: int, policy: BadSamples, *, what: str, where: str) -> tuple[str, ...]:
    """The notice of what was left out beside `kept` samples, if anything was.

    `what` names samples in the plural. Raises `DataError` with every bad one, up to `SHOWN`, under the policy `error`, and
    for more of them than `max_bad` allows.
    """
    if not faults.count:
        return ()
    total = faults.count + kept
    counted = f"{faults.count:,} of {total:,} {what}"
    if policy.bad == "error":
        raise _error(faults, f"{counted} of {where} are bad", "bad=skip leaves bad ones out, up to the share max_bad")
    if faults.count > policy.max_bad * total:
        raise _error(
            faults,
            f"{counted} of {where} are bad, more than the share of {policy.max_bad} that max_bad allows",
            "max_bad allows a larger share",
        )
    return (f"{counted} of {printable(where)} left out: {faults.reasons()}",)


def _error(faults: Faults, told: str, remedy: str) -> DataError:
    hints = dict.fromkeys(fault.hint for fault in faults.first if fault.hint)
    hint = "\n".join([*list(hints)[:3], remedy])
    if faults.count == 1:
        return DataError(f"{faults.first[0]} ({told})", hint=hint)
    more = f"\n  and {faults.count - SHOWN:,} more" if faults.count > SHOWN else ""
    return DataError(f"{told}:\n  " + "\n  ".join(map(str, faults.first)) + more, hint=hint)


def _listed(places: list[str], count: int) -> str:
    return ", ".join(places) + (" ..." if count > len(places) else "")


def listed_twice(samples: Mapping[str, list[tuple[str, str]]], *, together: bool) -> tuple[str, ...]:
    """Notices of samples that occur more than once, and of those among them that have different labels.

    `samples` has, by content, where each sample is and its label; `together` says that copies share a split, which those of
    splits that were given may not.
    """
    repeated = [found for found in samples.values() if len(found) > 1]
    split = [found for found in repeated if len({label for _, label in found}) > 1]
    notices = []
    if repeated:
        first = " and ".join(where for where, _ in repeated[0][:2])
        shared = ", and share a split" if together else ""
        notices.append(f"samples that occur more than once{shared}: {len(repeated):,} (first: {printable(first)})")
    if split:
        told = "; ".join(", ".join(f"{label!r} at {where}" for where, label in found[:4]) for found in split[:SHOWN])
        notices.append(f"samples that occur with different labels: {len(split):,} ({printable(told)})")
    return tuple(notices)

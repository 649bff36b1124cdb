"""Which data sets fit which tasks, by what samples have and what is read of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo_core.contract.specs import SampleType, TaskSpec
from zoo_core.errors import RecipeError
from zoo_core.plugins.host import PluginHost, RegisteredComponent

if TYPE_CHECKING:
    from zoo_core.config.recipe import Component

_MOST = 8
"""Names that a hint lists."""


def samples_of(data: Component, where: str) -> SampleType:
    """What the samples of a data set have, by its spec, or what those of all its parts have.

    Raises `RecipeError` for parts of several types.
    """
    if data.provided.spec.samples is not None:
        found: SampleType = data.provided.spec.samples
        return found
    types = {part.id: samples_of(part, where) for part in data.parts}
    names = {one.name for one in types.values()}
    if len(names) > 1:
        told = ", ".join(f"{part} is {one}" for part, one in types.items())
        raise RecipeError(f"{where}: data.parts: expected samples of one type, found several: {told}")
    first = next(iter(types.values()))
    common = tuple(field for field in first.fields if all(field in one.fields for one in types.values()))
    return SampleType(name=first.name, fields=common)


def place_among(task: TaskSpec, samples: SampleType | None) -> tuple[int, int] | None:
    """How near samples are to what a task reads: by the order of its types, then by fields to spare; None where they don't fit."""
    for place, wanted in enumerate(task.reads):
        if samples is not None and samples.name == wanted.name and not wanted.missing_in(samples):
            return place, len(samples.fields) - len(wanted.fields)
    return None


def fitting(task: RegisteredComponent, host: PluginHost) -> list[RegisteredComponent]:
    """The data sets and readers whose samples a task can read."""
    return [one for one in host.all("data") if place_among(task.spec, one.spec.samples) is not None]


def check_samples(data: Component, task: Component, host: PluginHost, where: str) -> None:
    """A task can read what a data set has. Raises `RecipeError` with what is missing, and what would fit."""
    samples, spec = samples_of(data, where), task.provided.spec
    if place_among(spec, samples) is not None:
        return
    wanted = " or ".join(map(str, spec.reads)) or "no data"
    lacking = [", ".join(one.missing_in(samples)) for one in spec.reads if one.name == samples.name]
    found = f"{samples} without {lacking[0]}" if lacking else str(samples)
    tasks = [one for one in host.all("task") if place_among(one.spec, samples) is not None]
    raise RecipeError(
        f"{where}: task {task.id} reads {wanted}; {data.id} has {found}",
        hint=f"data for this task: {_names(fitting(task.provided, host))}\ntasks for this data: {_names(tasks)}",
    )


def _names(found: list[RegisteredComponent]) -> str:
    return ", ".join(_few([one.id for one in found])) or "none"


def _few(names: list[str]) -> Iterator[str]:
    yield from names[:_MOST]
    if len(names) > _MOST:
        yield f"and {len(names) - _MOST} more"

"""What a recipe says of the parts that a model is put together from: a checkpoint for each, and whether it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo_core.contract.config import Config
from zoo_core.contract.schema import Place, from_data, locate
from zoo_core.errors import RecipeError
from zoo_core.plugins.host import RegisteredComponent


class PartSettings(Config):
    """What the section `model` says of one of the parts, as `image: {freeze: true}`."""

    freeze: bool = False
    """Keep the part as it is."""


@dataclass(frozen=True, kw_only=True)
class PartSource:
    """Where one of a model's parts comes from."""

    init: str
    """Name or folder of its checkpoint."""
    settings: PartSettings


def sources(
    init: str | Mapping[str, str],
    model: Mapping[str, Any],
    family: RegisteredComponent | None,
    where: str,
    lines: Mapping[Place, int],
) -> dict[str, PartSource]:
    """Where each of a model's parts comes from, of the sections `init` and `model`; nothing for a model of one piece.

    Raises `RecipeError` for checkpoints of other parts than the family has.
    """
    given = init if isinstance(init, Mapping) else {}
    wanted = family.spec.parts if family else ()
    if set(given) != set(wanted):
        found, place = ", ".join(given) or "none", locate(where, ("init",), lines)
        if not wanted:
            hint = "init: NAME starts from one checkpoint; with several, model.name says what they are put together to"
            raise RecipeError(f"{place}: expected one checkpoint, found parts: {found}", hint=hint)
        hint = f"init: {{{', '.join(f'{name}: NAME' for name in wanted)}}}"
        raise RecipeError(f"{place}: expected checkpoints for {', '.join(wanted)}, found {found}", hint=hint)
    settings = {
        name: from_data(PartSettings, model.get(name, {}), where=where, lines=lines, path=("model", name))
        for name in wanted
    }
    return {name: PartSource(init=given[name], settings=settings[name]) for name in wanted}

"""A plugin with schedules, by public names alone: one that drops at steps, one of a name of the core's, and three with mistakes."""

from __future__ import annotations

import math

from zoo_core import ScheduleSpec, hookimpl
from zoo_core.contract import Config, PositiveFloat, PositiveInt

zoo_api = (2, 0)


class StairsConfig(Config):
    """Settings of `stairs`."""

    every: PositiveInt = 4
    """Steps between two drops."""
    factor: PositiveFloat = 0.5
    """What each drop leaves."""


@hookimpl
def zoo_schedules() -> list[ScheduleSpec]:
    """Stairs, a line that isn't the core's, and mistakes."""
    return [
        ScheduleSpec(name="stairs", summary="drops at steps", target="zoo_toys.rates:stairs", config=StairsConfig),
        *(
            ScheduleSpec(name=name, summary="a toy", target=f"zoo_toys.rates:{name}")
            for name in ("linear", "negative", "wordy", "counting")
        ),
    ]


def stairs(step: int, steps: int, config: StairsConfig) -> float:
    """A constant factor every so many steps."""
    return float(config.factor ** (step // config.every))


def linear(step: int, steps: int, config: object) -> float:
    """No line."""
    return 0.125


def negative(step: int, steps: int, config: object) -> float:
    """Below 0 from the second half on."""
    return math.cos(math.pi * step / steps)


def wordy(step: int, steps: int, config: object) -> str:
    """No number."""
    return "fast"


def counting(step: int, steps: int, config: object) -> float:
    """Another factor at every call."""
    _CALLS.append(step)
    return 1 / len(_CALLS)


_CALLS: list[int] = []

"""Learning-rate schedules as pure functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable

from zoo_core.settings import Schedule


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at optimizer step `step` (from 0) of `steps`."""
    warmup = warmup_steps(schedule, steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    decayed = _SHAPES[schedule.name](min(1.0, progress), step, warmup)
    return schedule.final + (1.0 - schedule.final) * decayed


def warmup_steps(schedule: Schedule, steps: int) -> int:
    """Number of warm-up steps: a share of the run below 1, a count from 1 on."""
    count = schedule.warmup * steps if schedule.warmup < 1 else schedule.warmup
    return min(steps, round(count))


_SHAPES: dict[str, Callable[[float, int, int], float]] = {
    "constant": lambda progress, step, warmup: 1.0,
    "linear": lambda progress, step, warmup: 1.0 - progress,
    # Loshchilov and Hutter, SGDR, 2017, arXiv:1608.03983, equation 5, one cycle.
    "cosine": lambda progress, step, warmup: 0.5 * (1.0 + math.cos(math.pi * progress)),
    # Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, equation 3, scaled to 1 at the end of warm-up.
    "inverse-sqrt": lambda progress, step, warmup: math.sqrt(max(1, warmup) / max(1, step)) if step >= warmup else 1.0,
}

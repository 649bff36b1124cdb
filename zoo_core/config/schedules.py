"""The core's own schedules: what the base learning rate is multiplied by at a step, as pure functions of step and run."""

from __future__ import annotations

import math

from zoo_core.plugins.configs import OneCycleConfig, ScheduleConfig, WarmupStableDecayConfig


def constant(step: int, steps: int, config: ScheduleConfig) -> float:
    """The base rate."""
    return _warmed_up(step, steps, config, 1.0)


def linear(step: int, steps: int, config: ScheduleConfig) -> float:
    """From the base rate to the final one in a line."""
    return _warmed_up(step, steps, config, 1.0 - _progress(step, steps, config))


def cosine(step: int, steps: int, config: ScheduleConfig) -> float:
    """Loshchilov and Hutter, SGDR, 2017, arXiv:1608.03983, equation 5, one cycle."""
    return _warmed_up(step, steps, config, 0.5 * (1.0 + math.cos(math.pi * _progress(step, steps, config))))


def inverse_sqrt(step: int, steps: int, config: ScheduleConfig) -> float:
    """Vaswani et al., 2017, arXiv:1706.03762, equation 3, scaled to 1 at the end of warm-up."""
    warmup = share_of(config.warmup, steps)
    return _warmed_up(step, steps, config, math.sqrt(max(1, warmup) / max(1, step)))


def warmup_stable_decay(step: int, steps: int, config: WarmupStableDecayConfig) -> float:
    """Hu et al., MiniCPM, 2024, arXiv:2404.06395, section 4.2, whose falling function is a line here."""
    begin = max(share_of(config.warmup, steps), steps - share_of(config.decay, steps))
    falling = max(0, step - begin) / max(1, steps - begin)
    return _warmed_up(step, steps, config, 1.0 - falling)


def one_cycle(step: int, steps: int, config: OneCycleConfig) -> float:
    """Smith and Topin, 2018, arXiv:1708.07120, with half cosines for lines, as in torch's OneCycleLR; momentum stays."""
    top = max(1, share_of(config.warmup, steps) - 1)
    if step <= top:
        return _between(config.start, 1.0, step / top)
    return _between(1.0, config.final, (step - top) / max(1, steps - 1 - top))


def share_of(amount: float, steps: int) -> int:
    """Number of steps: a share of the run below 1, a count from 1 on."""
    return min(steps, round(amount * steps if amount < 1 else amount))


def _warmed_up(step: int, steps: int, config: ScheduleConfig, decayed: float) -> float:
    """The rate on its way up, then `decayed` (from 1 to 0) between the base rate and the final one."""
    warmup = share_of(config.warmup, steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return config.final + (1.0 - config.final) * decayed


def _progress(step: int, steps: int, config: ScheduleConfig) -> float:
    """How far a run is behind its warm-up, from 0 to 1."""
    warmup = share_of(config.warmup, steps)
    return min(1.0, (step - warmup) / max(1, steps - warmup))


def _between(first: float, last: float, progress: float) -> float:
    """Half a cosine from one factor to another."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

"""What a run does once its checkpoint is registered: extras, what they add to the card, and the learning curve.

Nothing that happens here changes how the run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from zoo_core.config.recipe import Recipe
from zoo_core.errors import DiskError
from zoo_core.preflight.claim import PENDING
from zoo_core.registry.card import Card
from zoo_core.registry.registry import Registry
from zoo_core.runs.curves import draw_learning_curve
from zoo_core.runs.extras import NO_EXTRAS, Extras, Job, job_for, limits, make_extras
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.publish import annotate
from zoo_core.storage import fs
from zoo_core.tasks.baselines import left_out
from zoo_core.training.guard import attempt
from zoo_core.training.signals import Stop

_MINUTE = 60.0
"""Seconds that adding to a registered card, or drawing its curve, may take."""
_LONGEST = 300.0
"""Seconds beyond their own limits after which the extras are given up, as where a file system hangs."""

Figures = Mapping[str, Mapping[str, float]]


def complete(
    card: Card,
    *,
    recipe: Recipe,
    registry: Registry,
    files: RunFolder,
    split: str,
    step: int,
    best_step: int,
    stop: Stop,
    say: Callable[[str], None],
) -> tuple[Card, Figures]:
    """The registered card with what was found out after it was registered, and the metrics of baselines.

    `split` is that of the final figures, `step` the last one and `best_step` that of the registered weights; `say` takes a
    line for everything that is left out.
    """
    wants = recipe.training.baselines == "auto"
    job = job_for(files.path, registry, split=split, step=step, best_step=best_step, baselines=wants)
    extras = _extras(recipe, job, stop)
    for problem in extras.problems:
        say(problem)
    notes = (*extras.notes, *extras.problems)
    added = attempt(lambda: annotate(card, extras.baselines, notes, registry, folder=files.path), _MINUTE)
    if added.problem:
        say(left_out("baselines of the card", added.problem))
    drawn = attempt(lambda: _draw(files, recipe.name, extras.baselines), _MINUTE)
    if drawn.problem:
        say(left_out("the learning curve", drawn.problem))
    with suppress(DiskError):
        fs.remove_file(files.path / PENDING)
    return added.value or card, extras.baselines


def _extras(recipe: Recipe, job: Job, stop: Stop) -> Extras:
    training = recipe.training
    if training.extras == "off":
        return NO_EXTRAS
    allowed = limits(training.extras_timeout)
    made = attempt(lambda: make_extras(job, allowed, stop), 3 * training.extras_timeout + _LONGEST)
    return made.value or Extras(baselines={}, problems=(left_out("extras", made.problem),))


def _draw(files: RunFolder, title: str, baselines: Figures) -> None:
    by_metric: dict[str, dict[str, float]] = {}
    for name, figures in baselines.items():
        for metric, value in figures.items():
            by_metric.setdefault(metric, {})[name] = value
    draw_learning_curve(files.metrics, files.curve, title=title, baselines=by_metric)

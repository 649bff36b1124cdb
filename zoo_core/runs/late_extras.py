"""Makes what a run still has to make where it was killed after its checkpoint was registered."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from zoo_core.config.recipe import Recipe
from zoo_core.contract.events import Reporter, SilentReporter
from zoo_core.errors import ZooError
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight import identity
from zoo_core.preflight.claim import MODEL
from zoo_core.registry.card import Card
from zoo_core.registry.checkpoint import open_folder
from zoo_core.registry.registry import Registry
from zoo_core.runs.finishing import complete
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.publish import RunResult
from zoo_core.training.signals import signal_handler


def make_late(
    recipe: Recipe, *, host: PluginHost, registry: Registry, folder: Path, reporter: Reporter | None = None
) -> RunResult:
    """The result of the run in `folder`, whose weights and figures stay as they are, with its extras made.

    Raises `ResumeError` for another recipe than the run's own.
    """
    files, reporter = RunFolder(folder), reporter or SilentReporter()
    identity.refuse_other_recipe(files.origin().recipe, recipe, host, folder)
    card = _newest(open_folder(folder / MODEL).card, registry)
    split = card.metrics[0].split if card.metrics else ""
    steps, best_step = int(card.training["steps"]), int(card.training["best_step"])

    def say(text: str) -> None:
        files.say(text)
        reporter.message(text)

    say(f"{card.full_name} is registered; what follows its registration is made now")
    with signal_handler() as stop:
        card, baselines = complete(
            card, recipe=recipe, registry=registry, files=files, split=split, step=steps,
            best_step=best_step, stop=stop, say=say,
        )  # fmt: skip
    files.say("finished")
    return RunResult(
        folder=folder,
        card=card,
        metrics={metric.name: metric.value for metric in card.metrics},
        baselines=baselines,
        steps=steps,
        seconds=float(card.training["seconds"]),
    )


def _newest(card: Card, registry: Registry) -> Card:
    """The card with what was added to the registered one; its own where it isn't registered any more."""
    with suppress(ZooError):
        return registry.find(card.full_name).card
    return card

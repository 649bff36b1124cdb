"""Everybody who watches a run and can't change it: plugins' observers, and the loggers that its recipe names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from zoo_core.config.recipe import Recipe
from zoo_core.contract.events import CheckpointSaved, Logger, RunEnded, RunEvent, RunStarted, StepLogged
from zoo_core.contract.specs import RunInfo
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.contracts import broken, calling
from zoo_core.registry.card import Card, card_to_data
from zoo_core.training.guard import attempt

_METHODS: Mapping[type[RunEvent], str] = {
    RunStarted: "run_started",
    StepLogged: "step_logged",
    CheckpointSaved: "checkpoint_saved",
    RunEnded: "run_ended",
}
"""What an event is called: the method of a logger, and with `zoo_` in front the hook of an observer."""
_MOST = 1 << 16
"""Bytes that one of them may leave in a checkpoint."""


class Watchers:
    """Tells them of events, each apart from the others and in bounded time; on the main rank only."""

    def __init__(self, host: PluginHost, seconds: float, say: Callable[[str], None]) -> None:
        self.host, self.seconds, self.say = host, seconds, say
        self.loggers: dict[str, Logger] = {}

    def make(self, recipe: Recipe) -> None:
        """The loggers of a recipe. Raises `PluginError` for one that can't be made."""
        host = self.host
        for number, component in enumerate(recipe.loggers):
            with calling(component.id, "the target of its spec"):
                logger = host.resolve(component.provided.spec.target, component.provided)(component.config)
            if not isinstance(logger, Logger):
                raise broken(component.id, "the target of its spec", "a zoo_core.contract.Logger", repr(logger)[:80])
            self.loggers[f"{component.id}#{number}"] = logger

    def tell(self, event: RunEvent, states: Mapping[str, Any] | None = None) -> None:
        """An event to all of them; `states` are what `states` gave when a run is resumed."""
        method = _METHODS[type(event)]
        for name, logger in list(self.loggers.items()):
            own = replace(event, state=(states or {}).get(name)) if isinstance(event, RunStarted) else event
            self._logged(name, method, lambda logger=logger, own=own: getattr(logger, method)(own))  # type: ignore[misc]
        known = len(self.host.warnings)
        attempt(lambda: self.host.notify(f"zoo_{method}", event, states or {}), self.seconds)
        for warning in self.host.warnings[known:]:
            self.say(warning)

    def states(self) -> dict[str, Any]:
        """What each of them leaves in a checkpoint."""
        found = dict(attempt(self.host.observer_states, self.seconds).value or {})
        for name, logger in list(self.loggers.items()):
            found[name] = self._logged(name, "state", logger.state)
        kept = {}
        for name, state in found.items():
            if state is None:
                continue
            with suppress(TypeError, ValueError):
                if len(json.dumps(state, allow_nan=False)) <= _MOST:
                    kept[name] = state
            if name not in kept:
                self.loggers.pop(name, None)
                self.say(f"{name}: its state is left out, as it isn't JSON of at most {_MOST:,} bytes")
        return kept

    def _logged(self, name: str, method: str, call: Callable[[], Any]) -> Any:
        found = attempt(call, self.seconds)
        if found.problem:
            del self.loggers[name]
            self.say(f"{name}: switched off, because its {method} {found.problem}")
        return found.value


def ended(
    run: RunInfo, status: Literal["finished", "stopped", "failed"], step: int, card: Card | None, folder: Path
) -> RunEnded:
    """The last event of a run in `folder`, which registered `card`."""
    if card is None:
        return RunEnded(run=run, status=status, step=step)
    return RunEnded(
        run=run, status=status, step=step, checkpoint=card.full_name, card=card_to_data(card), folder=folder / "model"
    )

"""An observer that writes down what it is told and stumbles over the first checkpoint, and loggers of a plugin's own."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core import LoggerSpec, hookimpl
from zoo_core.contract import CheckpointSaved, Logger, RunEnded, RunStarted, StepLogged

zoo_api = (2, 0)
told: list[tuple[object, ...]] = []
counted = {"figures": 0}


@hookimpl
def zoo_run_started(event: RunStarted) -> None:
    """The start."""
    told.append(("started", event.run.name, event.run.steps, event.step, event.state))


@hookimpl
def zoo_step_logged(event: StepLogged) -> None:
    """A log step."""
    counted["figures"] += 1
    told.append(("logged", event.step, event.kind, "loss" in event.metrics))


@hookimpl
def zoo_checkpoint_saved(event: CheckpointSaved) -> None:
    """A checkpoint."""
    told.append(("saved", event.step, (event.folder / "state.safetensors").is_file()))
    raise RuntimeError("the watcher stumbled")


@hookimpl
def zoo_run_ended(event: RunEnded) -> None:
    """The end."""
    told.append(("ended", event.status, event.step, event.checkpoint))


@hookimpl
def zoo_observer_state() -> dict[str, int]:
    """How many figures it has seen."""
    return dict(counted)


@dataclass(frozen=True, kw_only=True)
class NotesConfig:
    """What it notes."""

    word: str
    """In front of every note."""
    falls: str = ""
    """The method that raises; none if empty."""


notes: list[tuple[object, ...]] = []


class Notes(Logger):
    """Notes what it is told."""

    def __init__(self, config: NotesConfig) -> None:
        if config.falls == "__init__":
            raise OSError("no such server")
        self.config, self.seen = config, 0

    def run_started(self, event: RunStarted) -> None:
        """Goes on counting."""
        self.seen = (event.state or {"seen": 0})["seen"]
        self._note("started", event.step, self.seen)

    def step_logged(self, event: StepLogged) -> None:
        """One more."""
        self.seen += 1
        self._note("step_logged", event.step, event.kind)

    def run_ended(self, event: RunEnded) -> None:
        """The end."""
        self._note("ended", event.status, event.checkpoint, (event.card or {}).get("name"), event.folder)

    def state(self) -> object:
        """The count."""
        return {self} if self.config.falls == "state" else {"seen": self.seen}

    def _note(self, what: str, *words: object) -> None:
        notes.append((self.config.word, what, *words))
        if what == self.config.falls:
            raise OSError("the server is gone")


@hookimpl
def zoo_loggers() -> list[LoggerSpec]:
    """One."""
    return [
        LoggerSpec(
            name="notes", summary="notes", target="zoo_toys.watcher:Notes", config="zoo_toys.watcher:NotesConfig"
        )
    ]

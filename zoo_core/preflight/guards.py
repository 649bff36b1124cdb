"""What keeps a run's checkpoints whole and sound: nothing undeclared beside them, and nothing non-finite in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from torch import Tensor

from zoo_core.contract.task import Task
from zoo_core.errors import NonFiniteLoss, TrainingError
from zoo_core.preflight.snapshot import Snapshot
from zoo_core.preflight.undeclared import Look, changed, look
from zoo_core.training.optim import optimizers_by_word

_WATCHED = 2
"""Steps after which what a task keeps is looked at: the first, and one more for what the first step made."""


class Guards:
    """Looks at a task before and after the first steps, and at the weights before each save."""

    def __init__(self, task: Task, snapshot: Snapshot, say: Callable[[str], None]) -> None:
        self.task, self.snapshot, self.say = task, snapshot, say
        self._before: Look | None = None
        self._warned = False

    def first_look(self) -> None:
        """Note what the task and its optimizers hold before step 1, beside what is saved."""
        self._before = self._look()

    def after_step(self, step: int) -> None:
        """Raise `TrainingError` where state that no checkpoint holds has changed, and `Unpackable` where one can't hold it.

        Costs nothing after the first steps, and nothing in a run that is resumed.
        """
        if self._before is None:
            return
        self.snapshot.take()
        after = self._look()
        lost, numbers = (self._undeclared(places) for places in changed(self._before, after))
        if lost:
            raise TrainingError(
                f"step {step} changed {', '.join(lost[:5])}, which no training checkpoint holds, so no resume would be exact",
                hint="name it in Task.state(), or a module in Task.modules() (docs/plugins.md); draw from torch's global "
                "generator, which is keyed by step; leave what one step needs in local variables",
            )
        if numbers and not self._warned:
            self._warned = True
            self.say(f"not in the checkpoints, though training changes it: {', '.join(numbers[:5])}")
        self._before = after if step < _WATCHED else None

    def before_save(self, step: int, saved: int | None) -> None:
        """Raise `NonFiniteLoss` rather than save weights that are not finite; the checkpoints there are stay."""
        if unsound := self.snapshot.unsound():
            stands = f"; the checkpoint of step {saved} stands" if saved is not None else ""
            raise NonFiniteLoss(
                f"step {step}: {', '.join(unsound[:3])} holds values that are not finite, so it was not saved{stands}",
                hint="lower optimizer.lr, or look for the layer that overflows",
            )

    def _undeclared(self, places: Sequence[str]) -> list[str]:
        """The places less what `Task.state` names."""
        known = re.compile("|".join(rf"task\.{re.escape(name)}(?!\w)" for name in self.task.state()) or r"(?!)")
        return [place for place in places if not known.match(place)]

    def _look(self) -> Look:
        words = optimizers_by_word(self.snapshot.updates)
        optimizers = {f"optimizer {word}": optimizer for word, optimizer in words.items()}
        return look({"task": self.task, **optimizers}, self._saved())

    def _saved(self) -> list[Tensor]:
        return [*self.snapshot.weights().values(), *self.snapshot.optimizer_tensors()]

"""A checkpoint as one object that answers: model, preprocessor, labels and task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from zoo_core.config.finetune import configured_task
from zoo_core.contract.answers import Unreadable, answer_each, failure
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.specs import Head, TaskSpec
from zoo_core.data.tables.inputs import checked
from zoo_core.errors import DataError, UnknownName, UsageError
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.registry.card import Card
from zoo_core.registry.checkpoint import Checkpoint, family_of, open_checkpoint
from zoo_core.registry.registry import Registry
from zoo_core.storage.paths import expand

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo_core.contract.predictor import Predictor
    from zoo_core.contract.preprocessor import Preprocessor
    from zoo_core.models.build import Adaptation


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model with everything it takes to use it."""

    name: str
    """Full name, `name@version`."""
    card: Card
    """What is known of it."""
    model: nn.Module
    """In evaluation mode, on the device that was asked for."""
    preprocessor: Preprocessor | None
    """What reads its inputs."""
    labels: tuple[str, ...]
    """Label names in the order of the head's numbers."""
    task: Predictor
    """What answers."""
    provided_task: RegisteredComponent
    """The component that the task is of."""
    adaptation: Adaptation
    """What of the checkpoint was kept, resized, initialised and dropped."""

    @property
    def reference(self) -> str:
        """`name@sha256:<digest of the weights>`, for lineage."""
        return f"{self.card.name}@sha256:{self.card.digest}"

    @property
    def modality(self) -> str:
        """What the task reads, in the word of its plugin."""
        return str(self.task_spec.modality)

    @property
    def task_spec(self) -> TaskSpec:
        """What the plugin says of the task."""
        spec: TaskSpec = self.provided_task.spec
        return spec

    def predict(self, inputs: Any, *, on_error: Literal["raise", "skip"] = "raise", **options: Any) -> Any:
        """Answers for raw inputs: a list for a list or a folder of files, one answer for one input.

        Options are the fields of the task's predict dataclass; raises `RecipeError` for unknown ones. An input that can't be
        answered, or isn't what the task's spec says, raises `DataError`; with `on_error="skip"` the others are answered all the
        same, and it gets a dict of `error`, which names its place, and `hint`.
        """
        if on_error not in ("raise", "skip"):
            raise UsageError(f'on_error must be "raise" or "skip", found {on_error!r}')
        given = inputs if isinstance(inputs, list) else [inputs]
        items, asked = list(expand(given, self.task_spec.input_suffixes)), self.options(options)
        known = [self._checked(item) for item in items]
        if on_error == "skip":
            answers = [answer for _, answer in answer_each(lambda some: self.task.predict(some, asked), known)]
        else:
            answers = self.task.predict([_readable(item, place) for place, item in enumerate(known)], asked)
        return answers if isinstance(inputs, list) or items != given else answers[0]

    def stream(self, item: Any, **options: Any) -> Iterator[str]:
        """The answer for one raw input, piece by piece."""
        return self.task.stream(_readable(self._checked(item), 0), self.options(options))

    def _checked(self, item: Any) -> Any:
        try:
            return checked(self.task_spec.input, item)
        except DataError as error:
            return Unreadable(str(item)[:80], error)

    def options(self, values: Mapping[str, Any]) -> Any:
        """Typed prediction options."""
        return typed(self.provided_task.predict, dict(values), where=f"options of {self.task_spec.name}")

    __call__ = predict


def _readable(item: Any, place: int) -> Any:
    if isinstance(item, Unreadable):
        raise DataError(failure(place, item.error)["error"], hint=item.error.hint)
    return item


def load_checkpoint(
    checkpoint: Checkpoint, registry: Registry, *, task: str = "", device: str | torch.device = "cpu"
) -> Loaded:
    """What `zoo_core.load` does with a checkpoint that is open."""
    import torch

    from zoo_core.config.components import build_task
    from zoo_core.contract.predictor import TaskContext
    from zoo_core.contract.task import Task
    from zoo_core.models import build

    card, host = checkpoint.card, registry.host
    provided = family_of(card, host)
    wanted = task or card.task
    if not wanted:
        raise UsageError(
            f"{card.full_name} has no task of its own", hint=f"choose one: {', '.join(provided.spec.tasks)}"
        )
    task_provided = host.find("task", wanted, [card.plugin])
    trained = host.means_task(card.task, task_provided, card.plugin)
    config = typed(provided.config, card.config, where=card.full_name)
    head = Head(task=task_served(host, provided, task_provided.id), labels=len(card.labels) if trained else 0)
    model, adaptation = build.build_from(
        host, provided, config, head, checkpoint.tensors(), known_labels=card.labels, labels=card.labels,
        adaptable=not trained,
    )  # fmt: skip
    headless = UsageError(
        f"{card.full_name} has no head for {wanted}", hint=f"zoo finetune {card.name} --task {wanted} ..."
    )
    if adaptation.initialised and task_provided.spec.labelled:
        raise headless
    model.to(torch.device(device)).eval()
    preprocessor = checkpoint.preprocessor(host)
    context = TaskContext(
        model=model,
        preprocessor=preprocessor,
        labels=card.labels,
        fresh=lambda: build.build_fresh(host, provided, config, head),
        open=CheckpointOpener(registry, {one.partition("@")[0]: one for one in card.uses}),
    )
    component, loss = configured_task(card, task_provided, host)
    built = build_task(component, loss, host, context)
    if adaptation.initialised and isinstance(built, Task):
        raise headless
    # What learns nothing has no head of its own, and what the architecture holds besides takes no part in an answer.
    build.forbid(model, adaptation.initialised)
    return Loaded(
        name=card.full_name,
        card=card,
        model=model,
        preprocessor=preprocessor,
        labels=card.labels,
        task=built,
        provided_task=task_provided,
        adaptation=adaptation,
    )


class CheckpointOpener:
    """Opens other checkpoints for a task, and notes which; nothing of it is part of the task's state."""

    def __init__(self, registry: Registry, pinned: Mapping[str, str]) -> None:
        """`pinned` has the references that names stand for whatever is registered since, as in a run that is resumed."""
        self.registry, self.pinned = registry, pinned
        self.uses: dict[str, str] = {}
        """`name@sha256:...` of what was opened, by what it was asked for as."""

    def __call__(self, name: str, task: str) -> Loaded:
        """The checkpoint, for its own task, or for the first of its model's that `task`, a name or a pattern, means."""
        checkpoint = open_checkpoint(self.pinned.get(name, name), self.registry)
        served = family_of(checkpoint.card, self.registry.host).spec.tasks
        if task and not (matching := [one for one in served if fnmatchcase(one, task)]):
            raise UsageError(f"{name} serves no task {task}", hint=f"it serves: {', '.join(served)}")
        loaded = load_checkpoint(checkpoint, self.registry, task=matching[0] if task else "")
        self.uses[name] = loaded.reference
        return loaded


def task_served(host: PluginHost, provided: RegisteredComponent, task: str) -> str:
    """What the builder of a family calls the task of a full or a short name. Raises `UnknownName` for one it lacks."""
    if task in provided.spec.tasks:
        return task.rpartition("/")[2]
    with suppress(UnknownName):  # the error below lists what the family serves
        if host.serves(provided, found := host.find("task", task, [provided.plugin])):
            return str(found.spec.name)
    raise UnknownName("task", task, provided.spec.tasks, where=provided.id)

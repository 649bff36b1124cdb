"""What the parts of a plugin owe by contract: each check names the component, the method, what it expects and what it found."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.contract.answers import File
from zoo_core.contract.predictor import Predictor, protocol_names
from zoo_core.contract.specs import SampleType
from zoo_core.contract.task import EvaluationResult, StepOutput, Task, as_task
from zoo_core.errors import DataError, PluginError, RecipeError, ZooError
from zoo_core.training.guard import problem_of

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NORMALISED_ALONE = "more than 1 value per channel"


def broken(component: str, method: str, expected: str, found: str) -> PluginError:
    """The error for a method that keeps no promise."""
    return PluginError(f"{component}: {method}: expected {expected}, found {found}", hint="see docs/plugins.md")


@contextmanager
def calling(component: str, method: str) -> Iterator[None]:
    """Name component and method where the body raises anything but the errors that are made for users."""
    try:
        yield
    except (ZooError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, ValueError) and _NORMALISED_ALONE in str(error):
            raise RecipeError(
                f"{component}: batch normalisation needs at least two samples in a micro-batch, found one",
                hint="set training.batch_size to a larger number, or training.accumulation to a smaller one",
            ) from error
        raise PluginError(f"{component}: {method} raised {problem_of(error)}") from error


def check_labels(component: str, labels: Any) -> None:
    """`Data.labels` is a tuple of different names; empty where the splits share none, as voices that are told apart."""
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise broken(component, "Data.labels", "a tuple of names", _kind(labels))
    if len(set(labels)) < len(labels):
        raise broken(component, "Data.labels", "different names", "one that occurs twice")


def check_digest(component: str, digest: Any, again: Any) -> None:
    """`Data.digest` gives 64 hex digits, the same ones every time."""
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise broken(component, "Data.digest", "a sha256 of 64 lower-case hex digits", repr(digest)[:80])
    if digest != again:
        raise broken(component, "Data.digest", "the same digest at every call", "another at the second")


def check_samples(component: str, stated: SampleType | None, samples: Sequence[Any]) -> None:
    """The first sample has the fields that its data set states; what has none by name, as an array, is taken at its word.

    One that can't be read says nothing of them: what is done about bad samples is the data set's to say, when it is drawn.
    """
    if stated is None or not len(samples):
        return
    try:
        first = samples[0]
    except DataError:
        return
    if isinstance(first, str | bytes | int | float | list | np.ndarray | Tensor) or type(first) is tuple:
        return
    if missing := [field for field in stated.fields if not _has(first, field)]:
        found = f"{_kind(first)} without {', '.join(missing)}"
        raise broken(component, "Data.samples", f"samples with {', '.join(stated.fields)}", found)


def _has(sample: Any, field: str) -> bool:
    if isinstance(sample, Mapping):
        return field in sample
    # A property may read a file: whether there is one is enough.
    return inspect.getattr_static(sample, field, None) is not None or hasattr(sample, field)


def check_model(component: str, model: Any) -> None:
    """The target of a model's spec gives a module that has all its parameters from the start."""
    if not isinstance(model, nn.Module):
        raise broken(component, "the target of its spec", "a torch module", _kind(model))
    lazy = [name for name, p in model.named_parameters() if isinstance(p, nn.parameter.UninitializedParameter)]
    if lazy:
        raise broken(
            component, "the model's parameters", "shapes that are known when it is built", f"{lazy[0]} without one"
        )


def check_protocol(what: str, found: object, protocol: Any) -> None:
    """A model or a preprocessor has the attributes of a protocol, and its methods take the protocol's arguments."""
    lacking = [problem for name in protocol_names(protocol) if (problem := _lacking(found, protocol, name))]
    if lacking:
        expected = (inspect.getdoc(protocol) or protocol.__name__).partition("\n\n")[0]
        raise PluginError(
            f"{what}: expected {expected}; found {_kind(found)} without {', '.join(lacking)}",
            hint="see docs/plugins.md",
        )


def _lacking(found: object, protocol: Any, name: str) -> str:
    """What is missing of one name of a protocol; empty for nothing."""
    if not hasattr(found, name):
        return name
    method, own = getattr(protocol, name, None), getattr(found, name)
    if not inspect.isfunction(method) or not callable(own):
        return ""
    parameters = list(inspect.signature(method).parameters.values())[1:]  # without self
    given = [one for one in parameters if one.kind is one.POSITIONAL_ONLY]
    named = {one.name: one.name for one in parameters if one not in given}
    always = {one.name: one.name for one in parameters if one.name in named and one.default is one.empty}
    try:
        signature = inspect.signature(own)
        for words in (always, named):
            signature.bind(*(one.name for one in given), **words)
    except TypeError as error:
        return f"{name}({', '.join(one.name for one in parameters)}): {error}"
    except ValueError:  # one written in C tells no signature
        pass
    return ""


def checked_task(component: str, task: Any) -> Task:
    """A task that has its model, phases whose modules there are, and a monitor with a direction. Raises `UsageError` for what
    only answers."""
    if not isinstance(task, Predictor):
        raise broken(component, "the target of its spec", "a Task", _kind(task))
    if not isinstance(getattr(task, "model", None), nn.Module):
        raise broken(component, "Task.__init__", "a call of super().__init__(config, context)", "no model")
    found = as_task(component, task)
    with calling(component, "Task.modules"):
        modules = found.modules()
    for phase in found.phases:
        for name in phase.trains:
            if name not in modules:
                raise broken(component, f"phase {phase.name}", f"modules among {', '.join(modules)}", repr(name))
        if phase.batch_wide and type(found).embed is Task.embed:
            raise broken(component, f"phase {phase.name}", "embed, as it is batch_wide", "none")
    monitor = found.monitor
    if not (isinstance(monitor, tuple) and len(monitor) == 2 and monitor[1] in ("min", "max")):
        raise broken(component, "Task.monitor", "the name of a metric, and min or max", repr(monitor)[:80])
    return found


def check_step(component: str, phase: str, output: Any) -> None:
    """`Task.step` gives a sum that depends on parameters, a weight above 0, and metrics as tensors."""
    method = f"Task.step in phase {phase}"
    if not isinstance(output, StepOutput):
        raise broken(component, method, "a StepOutput", _kind(output))
    loss, weight = output.loss_sum, output.weight
    if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
        raise broken(component, method, "loss_sum as a tensor without dimensions", _kind(loss))
    if not loss.requires_grad:
        raise broken(component, method, "a loss that depends on parameters", "one cut off by detach or no_grad")
    if not isinstance(weight, Tensor | float | int) or (isinstance(weight, Tensor) and weight.ndim):
        raise broken(component, method, "weight as a number or a tensor without dimensions", _kind(weight))
    if not (math.isfinite(float(weight)) and float(weight) > 0):
        raise broken(component, method, "a weight above 0", f"{float(weight):g}")
    if not isinstance(output.metrics, Mapping):
        raise broken(component, method, "metrics by name", _kind(output.metrics))
    for name, value in output.metrics.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise broken(component, method, f"the metric {name} as a tensor without dimensions", _kind(value))


def check_loss(component: str, result: Any) -> None:
    """A loss gives its sum and its weight."""
    method = "the loss"
    if not isinstance(result, tuple) or len(result) != 2:
        raise broken(component, method, "the sum of the loss and its weight", _kind(result))
    if not isinstance(result[0], Tensor) or result[0].ndim:
        raise broken(component, method, "a sum without dimensions", _kind(result[0]))


def check_evaluated(component: str, parts: Any) -> None:
    """`Task.evaluate` gives a result whose fields are tensors and lists."""
    if not isinstance(parts, EvaluationResult):
        raise broken(component, "Task.evaluate", "an EvaluationResult", _kind(parts))
    for name, value in vars(parts).items():
        if not isinstance(value, Tensor | list):
            raise broken(component, "Task.evaluate", f"{name} as a tensor or a list", _kind(value))


def check_metrics(component: str, metrics: Any, monitor: tuple[str, str]) -> None:
    """`Task.summarize` gives numbers by name, the monitored one among them."""
    if not isinstance(metrics, Mapping):
        raise broken(component, "Task.summarize", "numbers by name", _kind(metrics))
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise broken(component, "Task.summarize", f"{name} as a number", _kind(value))
    if monitor[0] not in metrics:
        raise broken(
            component, "Task.summarize", f"the metric {monitor[0]} that Task.monitor names", ", ".join(metrics)
        )


def check_answers(component: str, answers: Any, count: int) -> None:
    """`Task.predict` gives as many answers as inputs, each a mapping of what JSON holds and files."""
    if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) != count:
        raise broken(component, "Task.predict", f"a list of {count} answer(s)", _kind(answers))
    for answer in answers:
        if not isinstance(answer, Mapping):
            raise broken(component, "Task.predict", "answers as mappings", _kind(answer))
        for name, value in answer.items():
            if not _is_plain(value):
                raise broken(component, "Task.predict", f"{name} as JSON or a File", _kind(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, File | str | int | float | bool | None):
        return True
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, list | tuple) and all(map(_is_plain, value))


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list | tuple | dict) and not isinstance(value, torch.Size):
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"

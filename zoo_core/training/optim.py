"""Optimizers: parameter groups, and the update that normalises, clips and guards the gradient in one multiplication."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo_core.errors import RecipeError, ResumeError
from zoo_core.training.packing import pack, unpack

Groups = list[dict[str, Any]]
"""torch parameter groups; each also has `names`, the parameters' names in order."""

Schedule = Callable[[int, int], float]
"""`(step, steps) -> factor`: what base rates are multiplied by at optimizer step `step` (from 0) of `steps`."""

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
"""Optimizers whose fused kernels take `grad_scale` and `found_inf`."""

_LEAST = 1e-30
"""Far below any weight there is."""


class LayerGroups(NamedTuple):
    """How a family groups its parameters, where a number in their names doesn't tell."""

    numbers: Mapping[str, int]
    """Number of the layer of each parameter, by its name in the model: 0 next to the input, the largest in the head."""
    undecayed: frozenset[str] = frozenset()
    """Parameters without weight decay, besides biases and norms."""


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    lr: float,
    weight_decay: float,
    layers: str | LayerGroups = "",
    layer_decay: float = 1.0,
    among: Collection[str] | None = None,
) -> Groups:
    """Groups by learning rate and decay.

    Biases and norms (tensors of fewer than two dimensions) get no weight decay. With `layer_decay` the rate falls by
    that factor per layer from the head down; `layers` is the expression whose first group is a block's number, or the
    family's own grouping of these names. Where an optimizer trains a part of them, `among` holds the names of that part;
    a layer's number stays the one it has among all.
    """
    trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    depths = _depths([name for name, _ in trained], layers) if layer_decay < 1.0 else {}
    undecayed = layers.undecayed if isinstance(layers, LayerGroups) else frozenset()
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trained:
        if among is not None and name not in among:
            continue
        scale = layer_decay ** depths.get(name, 0)
        decay = weight_decay if parameter.ndim >= 2 and name not in undecayed else 0.0
        group = groups.setdefault(
            (scale, decay), {"params": [], "names": [], "lr": lr * scale, "base_lr": lr * scale, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def _depths(names: Sequence[str], layers: str | LayerGroups) -> dict[str, int]:
    """How many layers lie between each parameter and the head: 0 for what follows the last one."""
    if isinstance(layers, LayerGroups) and layers.numbers:
        highest = max(layers.numbers.values())
        return {name: highest - layers.numbers.get(name, highest) for name in names}
    if not layers or isinstance(layers, LayerGroups):
        raise RecipeError("training.layer_decay: this model doesn't number its blocks", hint="leave layer_decay at 1")
    found = {name: re.search(layers, name) for name in names}
    numbers = {name: int(match.group(1)) for name, match in found.items() if match}
    if not numbers:
        raise RecipeError(f"training.layer_decay: no parameter matches {layers!r}")
    last = max(numbers.values())
    first_block = next(i for i, name in enumerate(names) if name in numbers)
    depths = {}
    for position, name in enumerate(names):
        if name in numbers:
            depths[name] = last - numbers[name] + 1
        else:
            depths[name] = last + 2 if position < first_block else 0  # below block 0, which is at last + 1
    return depths


class Norms(NamedTuple):
    """What an update found."""

    norm: Tensor
    """0-d, gradient norm after normalisation and before clipping."""
    finite: Tensor
    """0-d bool; False means that nothing was changed."""


class Update:
    """One update of one optimizer or of several that share the parameters: gradient sums in, new weights out.

    The gradient is scaled by one number that holds 1 / total weight, the clip factor and the finite check; norm and clip
    are those of all parameters together. A non-finite gradient changes neither weights nor optimizer state. With fused
    optimizers nothing is read back to the host; the others need to know on the host whether to step.
    """

    def __init__(self, *optimizers: Optimizer, clip_norm: float | None) -> None:
        self.optimizers = optimizers
        self.clip_norm = clip_norm
        self.parameters = [p for optimizer in optimizers for p in parameters_of(optimizer)]
        self._fused = [optimizer for optimizer in optimizers if _is_fused(optimizer)]
        self._others = [optimizer for optimizer in optimizers if not _is_fused(optimizer)]
        self._scaled = [p for optimizer in self._others for p in parameters_of(optimizer)]
        for optimizer in optimizers:
            if has_modes(optimizer):
                optimizer.train()  # type: ignore[attr-defined]

    def set_lr(self, factor: float) -> None:
        """Scale every group's base rate."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor

    def lr(self) -> float:
        """The largest rate of any group."""
        return float(max(group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, weight: Tensor) -> Norms:
        """Apply the accumulated gradient sums; `weight` is the 0-d total weight over micro-batches and ranks.

        Where nothing had any weight, the gradient is 0 and no division makes it anything else.
        """
        weight = weight.clamp_min(_LEAST)
        grads = [p.grad for p in self.parameters if p.grad is not None]
        # The model is on one device, so that the sorting of torch.nn.utils.get_total_norm is spared; NaN is not below.
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))) / weight
        finite = norm < torch.inf
        # Clipped, the mean gradient g / w becomes g / (w max(1, ||g / w|| / clip)).
        divisor = weight if self.clip_norm is None else weight * torch.clamp(norm / self.clip_norm, min=1.0)
        for optimizer in self._fused:
            _fused_step(optimizer, divisor, finite)
        if self._others and finite:
            # Fused kernels divide their own gradients themselves.
            if scaled := [p.grad for p in self._scaled if p.grad is not None]:
                torch._foreach_div_(scaled, divisor)
            for optimizer in self._others:
                optimizer.step()
        return Norms(norm, finite)


def optimizers_by_word(updates: Mapping[str, Update]) -> dict[str, Optimizer]:
    """Every optimizer by the word of its update, with a number behind it where that has several: `main`, or `main.0`."""
    return {
        word if len(update.optimizers) == 1 else f"{word}.{number}": optimizer
        for word, update in updates.items()
        for number, optimizer in enumerate(update.optimizers)
    }


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """What an optimizer trains, in its order."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _is_fused(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, FUSED) and all(group.get("fused") for group in optimizer.param_groups)


def _fused_step(optimizer: Optimizer, divisor: Tensor, finite: Tensor) -> None:
    # The protocol of torch.amp.GradScaler: the kernel divides by grad_scale and leaves all alone on found_inf.
    setattr(optimizer, "grad_scale", divisor)  # noqa: B010
    setattr(optimizer, "found_inf", (~finite).to(torch.float32))  # noqa: B010
    begun = _without_momentum(optimizer)
    optimizer.step()
    for parameter in begun:
        # Left out at its first step, the kernel leaves the new average as its memory was found.
        optimizer.state[parameter]["momentum_buffer"].masked_fill_(~finite, 0.0)


def _without_momentum(optimizer: Optimizer) -> list[nn.Parameter]:
    """Parameters whose momentum begins with the step to come, in torch's SGD; other optimizers begin theirs with zeros."""
    if not isinstance(optimizer, torch.optim.SGD) or len(optimizer.state) == sum(
        len(group["params"]) for group in optimizer.param_groups
    ):
        return []
    return [
        parameter
        for group in optimizer.param_groups
        for parameter in group["params"]
        if group["momentum"] and parameter.grad is not None and not optimizer.state.get(parameter)
    ]


def build_sgd(groups: Groups, config: Any) -> Optimizer:
    """Stochastic gradient descent with momentum (Sutskever et al., 2013)."""
    return torch.optim.SGD(groups, **asdict(config), fused=_can_fuse(groups))


def build_adam(groups: Groups, config: Any) -> Optimizer:
    """Adam (Kingma and Ba, 2015, arXiv:1412.6980, algorithm 1)."""
    return torch.optim.Adam(groups, **asdict(config), fused=_can_fuse(groups))


def build_adamw(groups: Groups, config: Any) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101, algorithm 2)."""
    return torch.optim.AdamW(groups, **asdict(config), fused=_can_fuse(groups))


def build_rmsprop(groups: Groups, config: Any) -> Optimizer:
    """RMSprop (Tieleman and Hinton, 2012, lecture 6.5)."""
    return torch.optim.RMSprop(groups, **asdict(config), foreach=True)


def build_adagrad(groups: Groups, config: Any) -> Optimizer:
    """Adagrad (Duchi et al., 2011)."""
    return torch.optim.Adagrad(groups, **asdict(config), foreach=True)


def build_adafactor(groups: Groups, config: Any) -> Optimizer:
    """Adafactor (Shazeer and Stern, 2018, arXiv:1804.04235)."""
    return torch.optim.Adafactor(groups, **asdict(config))


def build_muon(groups: Groups, config: Any) -> Optimizer:
    """Muon (Jordan et al., 2024): momentum, made orthogonal by five Newton-Schulz steps, for matrices."""
    return torch.optim.Muon(groups, **asdict(config))


def _can_fuse(groups: Groups) -> bool:
    kinds = {p.device.type for group in groups for p in group["params"]}
    return kinds <= {"cpu"} or kinds <= {"cuda"}


def pack_optimizer(optimizer: Optimizer, where: str) -> tuple[Any, dict[str, Tensor]]:
    """The whole `state_dict` as JSON and tensors by number. Raises `Unpackable`, naming what a checkpoint can't hold."""
    tree, tensors = pack(optimizer.state_dict(), where)
    return tree, {str(number): tensor for number, tensor in enumerate(tensors)}


def restore_optimizer(optimizer: Optimizer, tree: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `pack_optimizer` took out, to the bit. Raises `ResumeError` where it is another optimizer's.

    torch casts floating-point state to its parameter's type on the way in, so that is put back as it was saved.
    """
    parameters = parameters_of(optimizer)
    device = parameters[0].device
    state = unpack(
        tree, [tensors[str(number)] for number in range(len(tensors))], lambda t, host: _put(t, host, device)
    )
    names = [group["names"] for group in optimizer.param_groups]
    if [group.get("names") for group in state["param_groups"]] != names:
        raise ResumeError("the checkpoint's optimizer trains other parameters", hint="resume with what started the run")
    try:
        optimizer.load_state_dict(state)
    except (ValueError, KeyError, TypeError) as error:
        raise ResumeError(f"the optimizer doesn't take its state back: {error}") from error
    on_device = _steps_on_device(optimizer)
    for key, value in state["state"].items():
        if isinstance(key, int) and key < len(parameters):
            optimizer.state[parameters[key]] = _placed(value, parameters[key], on_device)
        else:
            optimizer.state[key] = value


def _put(tensor: Tensor, host: bool, device: torch.device) -> Tensor:
    # Loaded tensors are views on the file's bytes.
    return tensor.clone() if host else tensor.to(device)


def _placed(value: Any, parameter: nn.Parameter, on_device: bool) -> Any:
    """One parameter's state on its device, in its memory order where it has its shape."""
    if isinstance(value, dict):
        return {key: _placed(item, parameter, on_device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(item, parameter, on_device) for item in value)
    if not isinstance(value, Tensor):
        return value
    # Adam's step count is 0-d and lives on the host unless the optimizer is fused or capturable.
    device = parameter.device if value.ndim or on_device else value.device
    like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty(value.shape)
    return like.to(device=device, dtype=value.dtype).copy_(value)


def restore_first_format(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Mapping[str, Any]]
) -> None:
    """Put back the state of a parameter each, as training checkpoints of format 1 hold it."""
    named = {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    }
    for key, tensor in tensors.items():
        state, name = key.split(".", 1)
        optimizer.state[named[name]][state] = _placed(tensor, named[name], _steps_on_device(optimizer))
    for name, values in scalars.items():
        optimizer.state[named[name]].update(values)


@contextmanager
def evaluation_mode(optimizers: Iterable[Optimizer]) -> Iterator[None]:
    """The weights that an optimizer wants to be judged by, where it keeps others to train with (Defazio et al., 2024,
    arXiv:2405.15682, schedule-free); afterwards the weights are the same to the bit."""
    several = [optimizer for optimizer in optimizers if has_modes(optimizer)]
    parameters = [p for optimizer in several for p in parameters_of(optimizer)]
    kept = [p.detach().clone() for p in parameters]
    for optimizer in several:
        optimizer.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for optimizer in several:
            optimizer.train()  # type: ignore[attr-defined]
        with torch.no_grad():
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)


def has_modes(optimizer: Optimizer) -> bool:
    """Whether an optimizer trains with other weights than it is judged by."""
    return all(callable(getattr(optimizer, mode, None)) for mode in ("train", "eval"))


def _steps_on_device(optimizer: Optimizer) -> bool:
    return any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)

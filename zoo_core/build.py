"""Builds models from specs: with fresh weights, or on the meta device and filled with verified tensors."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo_core.errors import ArchMismatch, UnknownName
from zoo_core.plugins import PluginHost, Provided
from zoo_core.specs import Head, ModelSpec


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What became of a checkpoint's tensors when they met an architecture that is not quite theirs."""

    kept: tuple[str, ...] = ()
    """Tensors taken over as they are."""
    resized: tuple[str, ...] = ()
    """Tensors fitted to another shape: positions, input channels, rows of labels that both sides know."""
    initialised: tuple[str, ...] = ()
    """Tensors the checkpoint lacks, initialised afresh."""
    dropped: tuple[str, ...] = ()
    """Tensors of the checkpoint that the architecture has no place for."""

    @property
    def exact(self) -> bool:
        """Whether nothing had to change."""
        return not (self.resized or self.initialised or self.dropped)

    def describe(self) -> str:
        """One line for people."""
        parts = [f"kept {len(self.kept)} tensors"]
        for word, names in (("resized", self.resized), ("initialised", self.initialised), ("dropped", self.dropped)):
            if names:
                parts.append(f"{word} {len(names)}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
        return "; ".join(parts)


def builder_for(builders: Mapping[str, Callable[[], nn.Module]], head: Head, family: str) -> Callable[[], nn.Module]:
    """The builder of the model with this head. Raises `UnknownName` for a task that the family doesn't serve."""
    if head.task not in builders:
        raise UnknownName("task", head.task, [task for task in builders if task], where=family)
    return builders[head.task]


def build_fresh(host: PluginHost, provided: Provided, config: Any, head: Head) -> nn.Module:
    """A model with its own initialisation, drawn from torch's global generator."""
    build: Callable[[Any, Head], nn.Module] = host.resolve(provided.spec.target, provided)
    return build(config, head)


def build_from(
    host: PluginHost,
    provided: Provided,
    config: Any,
    head: Head,
    tensors: Mapping[str, Tensor],
    *,
    labels: Sequence[str] = (),
    known_labels: Sequence[str] = (),
    adaptable: bool = True,
) -> tuple[nn.Module, Adaptation]:
    """A model filled with `tensors`, built on the meta device so that memory holds one copy of the weights.

    Args:
        host: resolves the spec's targets.
        provided: the model's spec.
        config: its whole configuration.
        head: the head to end in.
        tensors: weights by name; used as they are, not copied.
        labels: names of the labels of the new head, in order.
        known_labels: names of the labels of the checkpoint's head, in order; rows that both know are taken over.
        adaptable: whether a head may differ from the checkpoint's; otherwise every tensor must fit.

    Raises:
        ArchMismatch: tensors are missing, superfluous or of another shape outside what may differ; lists ten of them.
    """
    spec: ModelSpec = provided.spec
    with parameters_on_meta():
        model = build_fresh(host, provided, config, head)
    sites = _sites(model)
    fit = _Fit(host, provided, tensors, labels, known_labels)
    found = {names[0]: fit.find(names, slot) for names, slot in sites}
    missing = [name for name, tensor in found.items() if tensor is None]
    unused = [name for name in tensors if name not in fit.used and not _ties(name, sites, fit)]
    problems = fit.problems + _problems(spec, missing, unused, adaptable=adaptable)
    if problems or (not adaptable and fit.resized):
        shown = [*problems, *fit.resized]
        more = f"\n  and {len(shown) - 10} more" if len(shown) > 10 else ""
        raise ArchMismatch(f"the tensors don't fit {provided.id}:\n  " + "\n  ".join(shown[:10]) + more)
    if missing or fit.partial:
        fresh = dict(_canonical(build_fresh(host, provided, config, head)))
        found.update({name: fresh[name] for name in missing})
        found.update({name: fit.rows(name, fresh[name]) for name in fit.partial})
    _assign(model, {name: tensor for name, tensor in found.items() if tensor is not None})
    resized = (*fit.resized, *fit.partial)
    kept = tuple(name for name in found if name not in missing and name not in resized)
    return model, Adaptation(kept=kept, resized=resized, initialised=tuple(missing), dropped=tuple(unused))


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and persistent buffers; of tensors that are tied, the first name only."""
    return {name: tensor.detach() for name, tensor in _canonical(model)}


def parameter_count(model: nn.Module, names: Container[str] | None = None) -> int:
    """Number of parameters, tied ones once; of those with these names, as far as a task may add some for training."""
    return sum(p.numel() for name, p in model.named_parameters() if names is None or name in names)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Build modules whose parameters have a shape and no memory, and whose buffers are real.

    Buffers that aren't saved (position numbers, rotary frequencies) thus come out right, which a model built wholly on
    the meta device would lose. Ties survive: a parameter registered twice stays one.
    """
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and not param.is_meta:
            param = nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
        register(module, name, param)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        with _NoInitialisation():
            yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


class _NoInitialisation(TorchFunctionMode):
    """Skips in-place filling of meta tensors, which has no effect but imports half of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], Tensor) and args[0].is_meta and getattr(func, "__name__", "") in _FILLING:
            return args[0]
        return func(*args, **(kwargs or {}))


_FILLING = {"normal_", "uniform_", "trunc_normal_", "fill_", "zero_", "erfinv_", "mul_", "add_", "clamp_", "copy_"}

_Slot = Tensor
_Sites = list[tuple[list[str], _Slot]]
"""Every distinct tensor of a model with all names it goes by, in order of appearance."""


def _sites(model: nn.Module) -> _Sites:
    by_identity: dict[int, tuple[list[str], Tensor]] = {}
    persistent = model.state_dict(keep_vars=True)
    for name, tensor in persistent.items():
        by_identity.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(by_identity.values())


def _canonical(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for names, tensor in _sites(model):
        yield names[0], tensor


class _Fit:
    """Finds for each tensor of the architecture its match among the checkpoint's."""

    def __init__(
        self,
        host: PluginHost,
        provided: Provided,
        tensors: Mapping[str, Tensor],
        labels: Sequence[str],
        known_labels: Sequence[str],
    ) -> None:
        spec: ModelSpec = provided.spec
        self.spec = spec
        self.tensors = tensors
        self.adapt = host.resolve(spec.adapt, provided) if spec.adapt else None
        self.labels, self.known = list(labels), list(known_labels)
        self.same_labels = self.labels == self.known or not (self.labels and self.known)
        self.used: set[str] = set()
        self.resized: list[str] = []
        self.partial: list[str] = []
        self.problems: list[str] = []

    def find(self, names: Sequence[str], slot: Tensor) -> Tensor | None:
        """The tensor for a slot, or None when the checkpoint has none."""
        source = next((other for name in names for other in self._spellings(name) if other in self.tensors), None)
        if source is None:
            return None
        self.used.add(source)
        tensor = self.tensors[source]
        if self._has_label_rows(names[0], tensor):
            if tensor.shape[1:] == slot.shape[1:] and set(self.labels) & set(self.known):
                self.partial.append(names[0])
                return tensor
            return None
        if tensor.shape == slot.shape:
            return tensor
        adapted = self.adapt(names[0], tensor, tuple(slot.shape)) if self.adapt else None
        if adapted is not None:
            self.resized.append(names[0])
            return adapted  # type: ignore[no-any-return]
        if names[0].startswith(self.spec.head):
            return None
        self.problems.append(f"{names[0]}: has shape {tuple(tensor.shape)}, needs {tuple(slot.shape)}")
        return tensor

    def rows(self, name: str, fresh: Tensor) -> Tensor:
        """A head tensor with the rows of labels that the checkpoint knows, and fresh rows for the others."""
        source = next(other for other in self._spellings(name) if other in self.tensors)
        merged = fresh.detach().clone()
        for row, label in enumerate(self.labels):
            if label in self.known:
                merged[row] = self.tensors[source][self.known.index(label)]
        return merged

    def _has_label_rows(self, name: str, tensor: Tensor) -> bool:
        """Whether the rows of a tensor stand for labels that are not the new ones."""
        of_head = name.startswith(self.spec.head)
        return not self.same_labels and of_head and tensor.shape[:1] == (len(self.known),)

    def _spellings(self, name: str) -> list[str]:
        """The name with and without the prefix that a backbone carries under a head."""
        prefix = self.spec.backbone
        if not prefix:
            return [name]
        return [name, name[len(prefix) :]] if name.startswith(prefix) else [name, prefix + name]


def _ties(name: str, sites: _Sites, fit: _Fit) -> bool:
    """Whether a tensor is another name of one that was found, as files that spell out ties have."""
    return any(name in names and any(other in fit.used for other in names) for names, _ in sites)


def _problems(spec: ModelSpec, missing: Sequence[str], unused: Sequence[str], *, adaptable: bool) -> list[str]:
    problems = []
    for name in missing:
        if not (adaptable and name.startswith(spec.head)):
            problems.append(f"{name}: missing")
    for name in unused:
        outside = bool(spec.backbone) and not name.startswith(spec.backbone)
        if not (adaptable and (name.startswith(spec.head) or outside)):
            problems.append(f"{name}: the architecture has no such tensor")
    return problems


def _assign(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors in place of the model's own, keeping ties."""
    replacement: dict[int, Tensor] = {}
    for names, slot in _sites(model):
        tensor = tensors[names[0]]
        if isinstance(slot, nn.Parameter):
            tensor = nn.Parameter(tensor.detach(), requires_grad=slot.requires_grad)
        replacement[id(slot)] = tensor
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None and id(value) in replacement:
                    held[name] = replacement[id(value)]  # type: ignore[assignment]

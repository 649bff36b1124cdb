"""Builds models from specs: with fresh weights, or on the meta device and filled with verified tensors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo_core.contract.specs import Head, ModelSpec
from zoo_core.errors import ArchMismatch, PluginError, UnknownName, UsageError, ZooError
from zoo_core.plugins.host import PluginHost, RegisteredComponent

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


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


def builder_for(builders: Mapping[str, Builder], head: Head, family: str) -> Builder:
    """The builder of the model with this head. Raises `UnknownName` for a task that the family doesn't serve."""
    if head.task not in builders:
        raise UnknownName("task", head.task, [task for task in builders if task], where=family)
    return builders[head.task]


def build_fresh(host: PluginHost, provided: RegisteredComponent, config: Any, head: Head) -> nn.Module:
    """A model with its own initialisation, drawn from torch's global generator; one thread builds at a time.

    Raises `UsageError` for one that is put together from parts which nobody has named.
    """
    build: Callable[[Any, Head], nn.Module] = host.resolve(provided.spec.target, provided)
    with _BUILDING:
        if not provided.spec.parts:
            return build(config, head)
        if provided.parts.keys() != set(provided.spec.parts):
            hint = f"a recipe names a checkpoint for each: init: {{{provided.spec.parts[0]}: NAME, ...}}"
            raise UsageError(f"{provided.id} is put together from {', '.join(provided.spec.parts)}", hint=hint)
        made = {name: build_fresh(host, part.provided, part.config, Head()) for name, part in provided.parts.items()}
        return put_together(host, provided, config, head, made)


def put_together(
    host: PluginHost, provided: RegisteredComponent, config: Any, head: Head, parts: Mapping[str, nn.Module]
) -> nn.Module:
    """A model around parts that are built, the rest with its own initialisation. Raises `PluginError` where it loses one."""
    build: Callable[[Any, Head, Mapping[str, nn.Module]], nn.Module] = host.resolve(provided.spec.target, provided)
    with _BUILDING:
        model = build(config, head, parts)
    lost = [name for name, part in parts.items() if getattr(model, name, None) is not part]
    if lost:
        raise PluginError(f"{provided.id}: expected a model whose submodule {lost[0]} is the part of that name")
    return model


def build_from(
    host: PluginHost,
    provided: RegisteredComponent,
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
    model = build_shapes(host, provided, config, head)
    sites = _sites(model)
    fit = _Fit(host, provided, tensors, labels, known_labels)
    if not fit.same_labels:
        longer = build_shapes(host, provided, config, Head(task=head.task, labels=head.labels + 1))
        fit.label_rows = _label_rows(sites, _sites(longer), head.labels)
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


def forbid(model: nn.Module, names: Container[str]) -> None:
    """Fill tensors with NaN, so that nothing can be computed of them unnoticed."""
    for name, tensor in _canonical(model):
        if name in names and tensor.is_floating_point():
            tensor.detach().fill_(float("nan"))


def parameter_count(model: nn.Module, names: Container[str] | None = None) -> int:
    """Number of parameters, tied ones once; of those with these names, as far as a task may add some for training."""
    return sum(p.numel() for name, p in model.named_parameters() if names is None or name in names)


def build_shapes(host: PluginHost, provided: RegisteredComponent, config: Any, head: Head) -> nn.Module:
    """A model to fill: its weights have a shape and no memory, its other buffers their values.

    A model that can't be built so, because its construction reads a weight's value, is built in the ordinary way.
    """
    try:
        with parameters_on_meta():
            model = build_fresh(host, provided, config, head)
    except ZooError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is: if it has another cause, the ordinary way raises it again
        return build_fresh(host, provided, config, head)
    return build_fresh(host, provided, config, head) if _lacks_values(model) else model


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Build modules in this thread whose parameters have a shape and no memory, and whose buffers are real.

    Only what has no value of its own goes to the meta device: memory that isn't filled yet, and random draws. Buffers that
    aren't saved (position numbers, rotary frequencies) thus come out right, which a model built wholly on the meta device
    would lose. Ties survive: a parameter registered twice stays one.
    """
    with _NoValues():
        yield


class _NoValues(TorchFunctionMode):
    """Puts fresh memory and random draws on the meta device, and skips filling what is there, which has no effect but
    imports half of torch. Modes are the thread's own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if args and isinstance(args[0], Tensor) and args[0].is_meta and name in _FILLING:
            return args[0]
        # A generator or a place that is named has a meaning: a draw from a fixed seed is a constant.
        if name in _VALUELESS and not any(kwargs.get(given) is not None for given in ("device", "generator", "out")):
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


_FILLING = {"normal_", "uniform_", "trunc_normal_", "fill_", "zero_", "erfinv_", "mul_", "add_", "clamp_", "copy_"}
_VALUELESS = {"empty", "empty_like", "empty_strided", "new_empty", "rand", "rand_like", "randn", "randn_like"}

_BUILDING = threading.RLock()
"""Held while a model is built: libraries swap functions of `torch.nn.init` meanwhile, and two at once would leave them so."""


def _lacks_values(model: nn.Module) -> bool:
    """Whether the model holds a tensor without a value that isn't saved, so that no checkpoint can fill it."""
    for module in model.modules():
        unsaved = [module._buffers.get(name) for name in module._non_persistent_buffers_set]
        if any(isinstance(value, Tensor) and value.is_meta for value in (*unsaved, *vars(module).values())):
            return True
    return False


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
        provided: RegisteredComponent,
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
        self.label_rows: frozenset[str] = frozenset()
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
        return name in self.label_rows and tensor.shape[:1] == (len(self.known),)

    def _spellings(self, name: str) -> list[str]:
        """The name with and without the prefix that a backbone carries under a head."""
        prefix = self.spec.backbone
        if not prefix:
            return [name]
        return [name, name[len(prefix) :]] if name.startswith(prefix) else [name, prefix + name]


def _label_rows(sites: _Sites, more: _Sites, labels: int) -> frozenset[str]:
    """Names of the tensors that have a row for each label: in a model with one more label they have one row more."""
    longer = {names[0]: tuple(slot.shape) for names, slot in more}
    return frozenset(
        names[0]
        for names, slot in sites
        if slot.shape[:1] == (labels,) and longer.get(names[0]) == (labels + 1, *slot.shape[1:])
    )


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
            for name, value in list(held.items()):
                if value is not None and id(value) in replacement:
                    # Not into the dict: recurrent layers keep a list of their weights beside it.
                    setattr(module, name, replacement[id(value)])

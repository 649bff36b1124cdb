"""Tries each installed plugin by itself, keeps what the sound ones bring, and says which component a name means."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from zoo_core.discovery import (
    CORE,
    SWITCH,
    PluginRecord,
    Source,
    State,
    core_source,
    installed,
    normalise,
    settle,
    source_of,
    stated_api,
)
from zoo_core.errors import AmbiguousName, MissingPlugin, PluginError, UnknownName, ZooError, nearest, printable
from zoo_core.hookspecs import PROJECT, Observers, Providers
from zoo_core.specs import HOOK_API, DataSpec, LossSpec, ModelSpec, OptimizerSpec, Spec, TaskSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["HOOKS", "KINDS", "OBSERVERS", "PluginHost", "PluginRecord", "Provided", "model_names"]

KINDS: dict[str, tuple[str, type[Spec]]] = {
    "model": ("zoo_models", ModelSpec),
    "data": ("zoo_data", DataSpec),
    "loss": ("zoo_losses", LossSpec),
    "task": ("zoo_tasks", TaskSpec),
    "optimizer": ("zoo_optimizers", OptimizerSpec),
}
"""What a plugin can bring: the hook that lists it and the type of what is listed."""

OBSERVERS = tuple(name for name in vars(Observers) if name.startswith("zoo_"))
"""Hooks that watch a run."""

HOOKS = (*(hook for hook, _ in KINDS.values()), *OBSERVERS)

_DISTRIBUTION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CARD_WORD = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """One component and who brings it."""

    spec: Any
    """Its `ModelSpec`, `DataSpec`, `LossSpec`, `TaskSpec` or `OptimizerSpec`."""
    plugin: str
    """Name of the plugin."""
    version: str
    """Version of the plugin's distribution."""
    id: str
    """`plugin/name`, unique everywhere; what cards store."""


def model_names(spec: ModelSpec) -> dict[str, str]:
    """Every name that asks for a model of the family, and the size it means: `family` (its first) and `family_size`."""
    return {spec.name: next(iter(spec.sizes)), **{f"{spec.name}_{size}": size for size in spec.sizes}}


class PluginHost:
    """The plugins of one process. An object, never a global; a worker process builds its own in the same way."""

    def __init__(
        self, entry_points: Iterable[EntryPoint | Source] | None = None, disabled: frozenset[str] = frozenset()
    ) -> None:
        """Try the given entry points, or all that are installed, less those of the `disabled` distributions."""
        given = installed() if entry_points is None else entry_points
        sources = [entry if isinstance(entry, Source) else source_of(entry) for entry in given]
        self.warnings: list[str] = []
        self.records: list[PluginRecord] = []
        self._components: dict[str, list[Provided]] = {kind: [] for kind in KINDS}
        self._observers: dict[str, dict[str, pluggy.PluginManager]] = {hook: {} for hook in OBSERVERS}
        for record in settle([core_source(), *sources], frozenset(map(normalise, disabled))):
            self.records.append(self._load(record) if record.state == "active" else record)
            if not record.module:
                self.warnings.append(f"{record.name}: {record.reason}")
        for provided in self._components.values():
            provided.sort(key=lambda one: one.id)

    @classmethod
    def discover(cls, environ: Mapping[str, str] | None = None) -> PluginHost:
        """The installed plugins, less the distributions named in `ZOO_DISABLE_PLUGINS`, which are not even imported."""
        names = (os.environ if environ is None else environ).get(SWITCH, "").split(",")
        return cls(disabled=frozenset(name for name in names if name.strip()))

    def all(self, kind: str) -> list[Provided]:
        """Every component of a kind, sorted by id."""
        return list(self._components[kind])

    def packages(self) -> dict[str, str]:
        """Distribution to top-level package of each active plugin."""
        return {record.name: record.module.partition(".")[0] for record in self.records if record.state == "active"}

    def find(self, kind: str, name: str) -> Provided:
        """The component that a full id or a short name means.

        Raises `UnknownName`, `AmbiguousName` for a short name of several plugins, `MissingPlugin` for an id whose plugin
        isn't installed and `PluginError` for one whose plugin isn't active.
        """
        return self._pick(kind, name, [(one.spec.name, one) for one in self.all(kind)])

    def find_model(self, name: str) -> tuple[Provided, str]:
        """The family and the size that `family_size` or `family` (its first size) means; raises as `find` does."""
        named = [(alias, one) for one in self.all("model") for alias in model_names(one.spec)]
        found = self._pick("model", name, named)
        return found, model_names(found.spec)[name.rpartition("/")[2]]

    def resolve(self, target: str, provided: Provided) -> Any:
        """What `package.module:name` of a spec stands for, imported on first use. Raises `PluginError` with the cause."""
        place, _, attribute = target.partition(":")
        what = f"{provided.id} ({provided.plugin} {provided.version}): target {target}"
        try:
            module = importlib.import_module(place)
            found = getattr(module, attribute, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"{what}: {_cause(error, place)}", hint=_remedy(error, provided.plugin)) from error
        if not callable(found):
            hint = nearest(attribute, (name for name in dir(module) if not name.startswith("_")))
            raise PluginError(f"{what}: {place} has no function or class {attribute!r}", hint=hint)
        return found

    def observed(self, hook: str) -> bool:
        """Whether anybody watches; where nobody does, the arguments needn't be worked out."""
        return bool(self._observers[hook])

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell every observer, by plugin name. One that raises is named once in `warnings` and not called again."""
        for plugin, manager in list(self._observers[hook].items()):
            try:
                getattr(manager.hook, hook)(**arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a watcher must not end a run, whatever it raises
                del self._observers[hook][plugin]
                cause = _cause(error, self.packages()[plugin])
                self.warnings.append(f"{plugin}: its {hook} is switched off, because it raised {cause}")

    def _load(self, record: PluginRecord) -> PluginRecord:
        """Try one plugin; what it brings is kept if all of it is sound."""
        heavy = "torch" in sys.modules
        try:
            trial = _try(record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the plugin border: whatever is raised there stops there
            return _failed(record, error)
        for kind, specs in trial.specs.items():
            self._components[kind] += [
                Provided(spec=spec, plugin=record.name, version=record.version, id=f"{record.name}/{spec.name}")
                for spec in specs
            ]
        for hook in OBSERVERS:
            if getattr(trial.manager.hook, hook).get_hookimpls():
                self._observers[hook][record.name] = trial.manager
        notes = record.notes
        if not heavy and "torch" in sys.modules:
            notes += ("importing it imports torch, which slows every command down",)
        return replace(record, location=_file(trial.module, record), api=trial.api, notes=notes)

    def _pick(self, kind: str, name: str, named: list[tuple[str, Provided]]) -> Provided:
        """The one component of `named` (pairs of short name and component) that `name` means."""
        given, slash, short = name.rpartition("/")
        plugin = normalise(given)
        if slash:
            self._require_active(plugin, f"{kind} {name!r}")
        found = [one for alias, one in named if alias == short and (not slash or one.plugin == plugin)]
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(kind, short, found)
        if slash:
            raise UnknownName(kind, name, [f"{plugin}/{alias}" for alias, one in named if one.plugin == plugin])
        valid = [alias for alias, _ in named]
        hint = nearest(name, valid)
        idle = [f"{one.name} ({one.state})" for one in self.records if one.module and one.state != "active"]
        if idle:
            hint += f"\nnot looked into: {', '.join(idle)}; 'zoo plugin list' says why"
        raise UnknownName(kind, name, valid, hint=hint)

    def _require_active(self, plugin: str, what: str) -> None:
        records = {record.name: record for record in self.records if record.module}
        record = records.get(plugin)
        if record is None:
            # Telling people to install what may be a misspelling is how typosquatters live.
            if not _DISTRIBUTION.fullmatch(plugin) or difflib.get_close_matches(plugin, records, cutoff=0.8):
                raise UnknownName("plugin", plugin, records, where=what)
            raise MissingPlugin(plugin, what)
        if record.state != "active":
            raise PluginError(f"{what}: plugin {record.name} {record.version} is {record.state}", hint=record.reason)


class _Trial(NamedTuple):
    """A plugin that passed every check."""

    module: ModuleType
    manager: pluggy.PluginManager
    api: tuple[int, int]
    specs: dict[str, list[Spec]]


def _try(record: PluginRecord) -> _Trial:
    """Import a plugin and look at everything it brings, in a manager of its own."""
    # What a plugin prints on import must not end up in the answer of the command that imports it.
    with contextlib.redirect_stdout(sys.stderr):
        module = importlib.import_module(record.module)
    if not isinstance(module, ModuleType):
        raise PluginError(
            f"{record.module} put a {type(module).__name__} in its own place", hint="leave the module alone"
        )
    api = _api(module)
    if api is None:
        stated = vars(module).get("zoo_api", "nothing")
        hint = f"write zoo_api = {HOOK_API}, the version of the hook contract that the plugin was written against"
        raise PluginError(f"{record.module}: zoo_api is missing or wrong, it is {stated!r}", hint=hint)
    if mismatch := _mismatch(api):
        raise PluginError(mismatch)
    manager = _registered(module, record.name)
    return _Trial(module, manager, api, {kind: _listed(manager, kind) for kind in KINDS})


def _api(module: object) -> tuple[int, int] | None:
    """The hook API that an imported plugin states; None where it states none or nonsense."""
    api = vars(module).get("zoo_api") if isinstance(module, ModuleType) else None
    if isinstance(api, tuple) and len(api) == 2 and all(type(part) is int for part in api):
        return int(api[0]), int(api[1])
    return None


def _mismatch(api: tuple[int, int]) -> str:
    """Why a plugin of that hook API can't run here; empty if it can."""
    if api[0] == HOOK_API[0] and api[1] <= HOOK_API[1]:
        return ""
    versions = f"it was written for hook API {api[0]}.{api[1]} and this core has {HOOK_API[0]}.{HOOK_API[1]}"
    return f"{versions}; " + (f"pip install --upgrade {CORE}" if api > HOOK_API else "install a newer release of it")


def _registered(module: ModuleType, name: str) -> pluggy.PluginManager:
    """A fresh manager that knows the contract and this plugin. Raises for each known way to be ignored in silence."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Providers)
    manager.add_hookspecs(Observers)
    manager.register(module, name)
    callers = manager.get_hookcallers(module) or []
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = next(caller.name for caller in callers if not caller.has_spec())
        raise PluginError(f"unknown hook {unknown!r}", hint=nearest(unknown, HOOKS)) from error
    implementations = [impl for caller in callers for impl in caller.get_hookimpls()]
    for impl in implementations:
        _require_plain(impl)
    marked = [impl.function for impl in implementations]
    for hook in HOOKS:
        function = vars(module).get(hook)
        if isinstance(function, FunctionType) and function not in marked:
            raise PluginError(
                f"{hook} lacks @hookimpl ({_line(function)})", hint="without the decorator it is never called"
            )
    return manager


def _require_plain(impl: pluggy.HookImpl) -> None:
    """Refuse what pluggy accepts and then doesn't call as its author expects."""
    function: Any = impl.function
    place = f"{function.__name__} ({_line(function)})"
    if impl.wrapper or impl.hookwrapper:
        raise PluginError(f"{place} wraps the hook of others", hint="the contract has no wrappers; drop wrapper=True")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise PluginError(f"{place} is a generator or coroutine", hint="make it a plain function that returns at once")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty:
            hint = "pluggy never passes an argument that has a default; drop the default"
            raise PluginError(f"{place} gives its argument {parameter.name!r} a default", hint=hint)
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise PluginError(f"{place} takes {parameter}", hint="pluggy passes plain named arguments only")


def _listed(manager: pluggy.PluginManager, kind: str) -> list[Spec]:
    """What a plugin brings of one kind, checked."""
    hook, wanted = KINDS[kind]
    specs: list[Spec] = []
    for impl in getattr(manager.hook, hook).get_hookimpls():
        result: Any = impl.function()
        if not isinstance(result, list):
            raise PluginError(f"{hook} returned a {type(result).__name__}", hint="a provider returns a list")
        for position, spec in enumerate(result):
            if not isinstance(spec, wanted):
                raise PluginError(f"{hook}: item {position} is a {type(spec).__name__}, not a {wanted.__name__}")
            Spec.__post_init__(spec)
            specs.append(spec)
    names = Counter(
        name for spec in specs for name in (_model_names(spec) if isinstance(spec, ModelSpec) else [spec.name])
    )
    if twice := [name for name, count in names.items() if count > 1]:
        raise PluginError(f"{hook} lists {', '.join(map(repr, twice))} more than once", hint="give each its own name")
    return specs


def _model_names(spec: ModelSpec) -> dict[str, str]:
    """`model_names` of a family whose names can stand in a checkpoint's name, where '.' begins the recipe."""
    if not spec.sizes:
        raise PluginError(f"model {spec.name!r} has no sizes", hint="name at least one; the first is the default")
    for word in (spec.name, *spec.sizes):
        if not _CARD_WORD.fullmatch(word):
            raise PluginError(f"model {spec.name!r}: {word!r} can't be part of a checkpoint's name, use [a-z0-9_-]")
    return model_names(spec)


def _failed(record: PluginRecord, error: BaseException) -> PluginRecord:
    """The record of a plugin whose trial raised."""
    module = sys.modules.get(record.module)
    api = _api(module) or stated_api(record.module)
    mismatch = _mismatch(api) if api else ""
    reason = _cause(error, record.module)
    if mismatch and mismatch not in reason:
        reason = f"{mismatch} (importing it raised {reason})"
    state: State = "incompatible" if mismatch else "broken"
    return replace(record, state=state, reason=reason, location=_file(module, record), api=api)


def _cause(error: BaseException, module: str) -> str:
    """What was raised and where: type, message, and file and line of the innermost frame inside the plugin."""
    try:
        message = (
            error.message + (f"; {error.hint}" if error.hint else "") if isinstance(error, ZooError) else str(error)
        )
    except Exception:  # noqa: BLE001 - even the message is the plugin's code
        message = "(its message can't be shown)"
    name = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
    place = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) and error.filename else ""
    trace = error.__traceback__
    while trace:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] == module.partition(".")[0]:
            place = place if isinstance(error, SyntaxError) else f"{frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    said = printable(" ".join(f"{name}{message}".split()))
    return (said if len(said) <= 400 else said[:400] + " ...") + (f" ({place})" if place else "")


def _remedy(error: BaseException, plugin: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install --upgrade {plugin}"
    return f"update {plugin}, uninstall it, or set {SWITCH}={plugin}"


def _ambiguous(kind: str, name: str, found: list[Provided]) -> AmbiguousName:
    rows = [f"  {one.plugin} {one.version}  {one.spec.target}" for one in found]
    ids = " or ".join(f"{one.plugin}/{name}" for one in found)
    keep = next((one.plugin for one in found if one.plugin == CORE), found[0].plugin)
    others = ",".join(one.plugin for one in found if one.plugin != keep)
    return AmbiguousName(
        "\n".join([f"{kind} {name!r} is provided by {len(found)} plugins:", *rows]),
        hint=f"use {ids}, or set {SWITCH}={others}",
    )


def _file(module: object, record: PluginRecord) -> str:
    return str((isinstance(module, ModuleType) and vars(module).get("__file__")) or record.location)


def _line(function: Any) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"

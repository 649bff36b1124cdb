"""Tries each installed plugin by itself, keeps what the sound ones bring, and says which component a name means."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from zoo_core.contract.events import RunStarted
from zoo_core.errors import AmbiguousName, MissingPlugin, PluginError, RecipeError, UnknownName, nearest
from zoo_core.plugins.discovery import (
    CORE,
    SWITCH,
    PluginRecord,
    Source,
    State,
    core_source,
    installed,
    normalise,
    resolve_conflicts,
    source_of,
    stated_api,
)
from zoo_core.plugins.offers import with_offer
from zoo_core.plugins.validation import (
    HOOKS,
    KINDS,
    OBSERVERS,
    api_of,
    cause_of,
    mismatch_of,
    model_names,
    validate_plugin,
)
from zoo_core.storage.machine import name_cache_folder, remedy_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "HOOKS",
    "KINDS",
    "OBSERVERS",
    "NamedModel",
    "Part",
    "PluginHost",
    "PluginRecord",
    "RegisteredComponent",
    "model_name",
    "model_names",
]

_DISTRIBUTION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredComponent:
    """One component and who brings it."""

    spec: Any
    """Its `ModelSpec`, `DataSpec`, `LossSpec`, `TaskSpec`, `OptimizerSpec`, `ScheduleSpec` or `AdapterSpec`."""
    plugin: str
    """Name of the plugin."""
    version: str
    """Version of the plugin's distribution."""
    id: str
    """`plugin/name`, unique everywhere; what cards store."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """What a model that is put together from others is put together from here, by part."""

    @property
    def config(self) -> type[Any]:
        """The dataclass of its configuration. Raises `PluginError` where its spec names none that can be imported."""
        return self._dataclass(self.spec.config)

    @property
    def preprocessor_config(self) -> type[Any]:
        """The dataclass of a model's preprocessor settings; raises as `config` does."""
        return self._dataclass(self.spec.preprocessor_config)

    @property
    def predict(self) -> type[Any]:
        """The dataclass of a task's prediction options; raises as `config` does."""
        return self._dataclass(self.spec.predict)

    def resolve(self, target: str) -> Any:
        """What `package.module:name` of the spec stands for, imported on first use. Raises `PluginError` with the cause."""
        place, _, attribute = target.partition(":")
        what = f"{self.id} ({self.plugin} {self.version}): target {target}"
        name_cache_folder()
        try:
            module = importlib.import_module(place)
            found = getattr(module, attribute, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"{what}: {cause_of(error, place)}", hint=_remedy(error, self.plugin)) from error
        if not callable(found):
            hint = nearest(attribute, (name for name in dir(module) if not name.startswith("_")))
            raise PluginError(f"{what}: {place} has no function or class {attribute!r}", hint=hint)
        return found

    def _dataclass(self, found: type[Any] | str) -> type[Any]:
        found = self.resolve(found) if isinstance(found, str) else found
        if not is_dataclass(found):
            raise PluginError(f"{self.id} ({self.plugin} {self.version}): {found!r} is not a dataclass")
        return found


class Part(NamedTuple):
    """The architecture of a part: a bare backbone."""

    provided: RegisteredComponent
    config: Any
    """Its whole configuration."""


class NamedModel(NamedTuple):
    """What the name of a model means."""

    provided: RegisteredComponent
    size: str
    """A size of the family, or the name that another library gives the architecture."""
    values: Mapping[str, Any]
    """The configuration that the size stands for, as far as it differs from the defaults."""


def model_name(provided: RegisteredComponent, size: str) -> str:
    """The name that asks for a size of a family, with the plugin in front; the family's for a size without a name."""
    if not size:
        return provided.id
    return f"{provided.id}_{size}" if size in provided.spec.sizes else f"{provided.plugin}/{size}"


class PluginHost:
    """The plugins of one process. An object, never a global; a worker process builds its own in the same way."""

    def __init__(
        self, entry_points: Iterable[EntryPoint | Source] | None = None, disabled: frozenset[str] = frozenset()
    ) -> None:
        """Try the given entry points, or all that are installed, less those of the `disabled` distributions."""
        given = installed() if entry_points is None else entry_points
        sources = [entry if isinstance(entry, Source) else source_of(entry) for entry in given]
        self.warnings: list[str] = []
        self._foreign: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self.records: list[PluginRecord] = []
        self._components: dict[str, list[RegisteredComponent]] = {kind: [] for kind in KINDS}
        self._observers: dict[str, dict[str, pluggy.PluginManager]] = {hook: {} for hook in OBSERVERS}
        for record in resolve_conflicts([core_source(), *sources], frozenset(map(normalise, disabled))):
            self.records.append(self._load(record) if record.state == "active" else record)
            if not record.module:
                self.warnings.append(f"{record.name}: {record.reason}")
        for provided in self._components.values():
            provided.sort(key=lambda one: one.id)
        self._components["model"] = [with_offer(one, self) if one.spec.offers else one for one in self.all("model")]

    @classmethod
    def discover(cls, environ: Mapping[str, str] | None = None) -> PluginHost:
        """The installed plugins, less the distributions named in `ZOO_DISABLE_PLUGINS`, which are not even imported."""
        names = (os.environ if environ is None else environ).get(SWITCH, "").split(",")
        return cls(disabled=frozenset(name for name in names if name.strip()))

    def all(self, kind: str) -> list[RegisteredComponent]:
        """Every component of a kind, sorted by id."""
        return list(self._components[kind])

    def shared_names(self) -> dict[str, list[str]]:
        """Names that several plugins list, as `task sort`, and the plugins; without an own plugin each needs its id."""
        found: dict[str, list[str]] = {}
        for kind in KINDS:
            for one in self.all(kind):
                found.setdefault(f"{kind} {one.spec.name}", []).append(one.plugin)
        return {name: plugins for name, plugins in found.items() if len(plugins) > 1}

    def packages(self) -> dict[str, str]:
        """Distribution to top-level package of each active plugin."""
        return {record.name: record.module.partition(".")[0] for record in self.records if record.state == "active"}

    def find(self, kind: str, name: str, own: Sequence[str] = ()) -> RegisteredComponent:
        """The component that a full id or a short name means.

        A short name means the component of the first plugin in `own` that has one, then the core's, then the only one.
        Raises `UnknownName`, `AmbiguousName` for a short name of several other plugins, `MissingPlugin` for an id whose
        plugin isn't installed and `PluginError` for one whose plugin isn't active.
        """
        return self._pick(kind, name, [(one.spec.name, one) for one in self.all(kind)], own)

    def serves(self, model: RegisteredComponent, task: RegisteredComponent) -> bool:
        """Whether a model family lists a task; a short name in its list is read as one of its own plugin."""
        return any(self.means_task(name, task, model.plugin) for name in model.spec.tasks)

    def means_task(self, name: str, task: RegisteredComponent, own: str) -> bool:
        """Whether a name that plugin `own` has written means the task: by its id, or by the rule of `find`.

        A short name that neither `own` nor the core has means each task of that name.
        """
        if name != task.spec.name:
            return name == task.id
        holders = {one.plugin for one in self.all("task") if one.spec.name == name}
        first = next((plugin for plugin in (own, CORE) if plugin in holders), task.plugin)
        return task.plugin == first

    def find_model(self, name: str, own: Sequence[str] = ()) -> NamedModel:
        """The family, the size and the configuration overrides that a model's name means; raises as `find` does.

        `family_size` and `family` (its first size) come first, then the names that another library gives its own
        architectures, whose size is the name itself.
        """
        named = [(alias, one) for one in self.all("model") for alias in model_names(one.spec)]
        short = name.rpartition("/")[2]
        if not any(alias == short for alias, _ in named):
            named += [(alias, one) for one in self.all("model") for alias in self.foreign_names(one)]
        found = self._pick("model", name, named, own)
        listed = model_names(found.spec)
        if short in listed:
            return NamedModel(found, listed[short], found.spec.sizes[listed[short]])
        return NamedModel(found, short, self.foreign_names(found)[short])

    def foreign_names(self, provided: RegisteredComponent) -> Mapping[str, Mapping[str, Any]]:
        """The names that another library gives a family's architectures, with the configuration each stands for.

        Asked once; where that fails, the family has none, `warnings` says why, and nobody else is affected.
        """
        if provided.spec.names and provided.id not in self._foreign:
            try:
                found = self.resolve(provided.spec.names, provided)()
                self._foreign[provided.id] = _checked_names(found)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - the plugin border: whatever is raised there stops there
                self._foreign[provided.id] = {}
                cause = cause_of(error, self.packages()[provided.plugin])
                self.warnings.append(f"{provided.id}: the names of its architectures are left out: {cause}")
        return self._foreign.get(provided.id, {})

    def resolve(self, target: str, provided: RegisteredComponent) -> Any:
        """What a target of a component's spec stands for; raises as `Provided.resolve` does."""
        return provided.resolve(target)

    def notify(self, hook: str, event: Any, states: Mapping[str, Any]) -> None:
        """Tell every observer, by plugin name. One that raises is named once in `warnings` and not called again.

        An event that starts a run says to each what `states` holds for it.
        """
        for plugin in list(self._observers[hook]):
            own = replace(event, state=states.get(plugin)) if isinstance(event, RunStarted) else event
            self._observed(hook, plugin, event=own)

    def observer_states(self) -> dict[str, Any]:
        """What observers want to be told when the run is resumed, by plugin."""
        hook = "zoo_observer_state"
        found = {plugin: self._observed(hook, plugin) for plugin in list(self._observers[hook])}
        return {plugin: states[0] for plugin, states in found.items() if states}

    def _observed(self, hook: str, plugin: str, **arguments: Any) -> Any:
        if manager := self._observers[hook].get(plugin):
            try:
                return getattr(manager.hook, hook)(**arguments)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a watcher must not end a run, whatever it raises
                del self._observers[hook][plugin]
                cause = cause_of(error, self.packages()[plugin])
                self.warnings.append(f"{plugin}: its {hook} is switched off, because it raised {cause}")
        return None

    def _load(self, record: PluginRecord) -> PluginRecord:
        """Try one plugin; what it brings is kept if all of it is sound."""
        heavy = "torch" in sys.modules
        try:
            trial = validate_plugin(record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the plugin border: whatever is raised there stops there
            return _failed(record, error)
        for kind, specs in trial.specs.items():
            self._components[kind] += [
                RegisteredComponent(
                    spec=spec, plugin=record.name, version=record.version, id=f"{record.name}/{spec.name}"
                )
                for spec in specs
            ]
        for hook in OBSERVERS:
            if getattr(trial.manager.hook, hook).get_hookimpls():
                self._observers[hook][record.name] = trial.manager
        notes = record.notes
        if not heavy and "torch" in sys.modules:
            notes += ("importing it imports torch, which slows every command down",)
        return replace(record, location=_file(trial.module, record), api=trial.api, notes=notes)

    def _pick(
        self, kind: str, name: str, named: list[tuple[str, RegisteredComponent]], own: Sequence[str]
    ) -> RegisteredComponent:
        """The one component of `named` (pairs of short name and component) that `name` means."""
        given, slash, short = name.rpartition("/")
        plugin = normalise(given)
        if slash:
            self._require_active(plugin, f"{kind} {name!r}")
        found = [one for alias, one in named if alias == short and (not slash or one.plugin == plugin)]
        if not slash:
            first = next((owner for owner in (*own, CORE) if any(one.plugin == owner for one in found)), "")
            found = [one for one in found if not first or one.plugin == first]
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(kind, short, found)
        if slash:
            raise UnknownName(kind, name, [f"{plugin}/{alias}" for alias, one in named if one.plugin == plugin])
        valid = [alias for alias, _ in named]
        hint = "\n".join([nearest(name, valid), *(w for w in self.warnings if "left out" in w)])
        idle = [f"{one.name} ({one.state})" for one in self.records if one.module and one.state != "active"]
        if idle:
            hint += f"\nnot looked into: {', '.join(idle)}; 'zoo plugin list' says why"
        raise UnknownName(kind, name, valid, hint=hint)

    def _require_active(self, plugin: str, what: str) -> None:
        records = {record.name: record for record in self.records if record.module}
        record = records.get(plugin)
        if record is None:
            from difflib import get_close_matches

            # Telling people to install what may be a misspelling is how typosquatters live.
            if not _DISTRIBUTION.fullmatch(plugin) or get_close_matches(plugin, records, cutoff=0.8):
                raise UnknownName("plugin", plugin, records, where=what)
            raise MissingPlugin(plugin, what)
        if record.state != "active":
            raise PluginError(f"{what}: plugin {record.name} {record.version} is {record.state}", hint=record.reason)


def check_name(name: str, provided: RegisteredComponent, size: str, host: PluginHost) -> None:
    """Raise `RecipeError` for a checkpoint's name that begins like an architecture of another family than the model's.

    A size of the own family is left to the user, whose model may lie between two; so is a word that no architecture has.
    """
    stem, dot, rest = name.partition(".")
    families = [family.id for family in host.all("model") if stem in model_names(family.spec)]
    if families and provided.id not in families:
        own = model_name(provided, size).rpartition("/")[2]
        raise RecipeError(
            f"the name {name!r} says {stem}, and the model is {own}",
            hint=f"names are of the form family_size.recipe_data, here {own}{dot}{rest}; or begin with a word of your own",
        )


def _checked_names(found: Any) -> Mapping[str, Mapping[str, Any]]:
    """What a family's `names` gave, if it is names with mappings."""
    if not isinstance(found, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Mapping) for k, v in found.items()
    ):
        raise PluginError("names: expected a mapping of names to mappings of fields")
    return found


def _failed(record: PluginRecord, error: BaseException) -> PluginRecord:
    """The record of a plugin whose trial raised."""
    module = sys.modules.get(record.module)
    api = api_of(module) or stated_api(record.module)
    mismatch = mismatch_of(api) if api else ""
    reason = cause_of(error, record.module)
    if mismatch and mismatch not in reason:
        reason = f"{mismatch} (importing it raised {reason})"
    state: State = "incompatible" if mismatch else "broken"
    return replace(record, state=state, reason=reason, location=_file(module, record), api=api)


def _remedy(error: BaseException, plugin: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install --upgrade {plugin}"
    if remedy := remedy_of(error):
        return remedy
    return f"update {plugin}, uninstall it, or set {SWITCH}={plugin}"


def _ambiguous(kind: str, name: str, found: list[RegisteredComponent]) -> AmbiguousName:
    rows = [f"  {one.plugin} {one.version}  {one.spec.target}" for one in found]
    ids = " or ".join(f"{one.plugin}/{name}" for one in found)
    return AmbiguousName("\n".join([f"{kind} {name!r} is provided by {len(found)} plugins:", *rows]), hint=f"use {ids}")


def _file(module: object, record: PluginRecord) -> str:
    return str((isinstance(module, ModuleType) and vars(module).get("__file__")) or record.location)

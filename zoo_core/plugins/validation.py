"""Tries one plugin: imports it, looks at everything it brings, and refuses each known way to be wrong."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import pluggy

from zoo_core.contract.hookspecs import PROJECT, Observers, Providers
from zoo_core.contract.specs import (
    HOOK_API,
    AdapterSpec,
    DataSpec,
    ExporterSpec,
    InterfaceSpec,
    LoggerSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    SamplerSpec,
    ScheduleSpec,
    Spec,
    TaskSpec,
)
from zoo_core.errors import PluginError, ZooError, nearest, printable
from zoo_core.plugins.discovery import CORE, PluginRecord

KINDS: dict[str, tuple[str, type[Spec]]] = {
    "model": ("zoo_models", ModelSpec),
    "data": ("zoo_data", DataSpec),
    "loss": ("zoo_losses", LossSpec),
    "task": ("zoo_tasks", TaskSpec),
    "interface": ("zoo_interfaces", InterfaceSpec),
    "optimizer": ("zoo_optimizers", OptimizerSpec),
    "schedule": ("zoo_schedules", ScheduleSpec),
    "adapter": ("zoo_adapters", AdapterSpec),
    "sampler": ("zoo_samplers", SamplerSpec),
    "logger": ("zoo_loggers", LoggerSpec),
    "exporter": ("zoo_exporters", ExporterSpec),
}
"""What a plugin can bring: the hook that lists it and the type of what is listed."""

OBSERVERS = tuple(name for name in vars(Observers) if name.startswith("zoo_"))
"""Hooks that watch a run."""

HOOKS = (*(hook for hook, _ in KINDS.values()), *OBSERVERS)

_CARD_WORD = re.compile(r"[a-z0-9][a-z0-9_-]*")


def model_names(spec: ModelSpec) -> dict[str, str]:
    """Every name that asks for a model of the family, and the size it means: `family` (its first) and `family_size`."""
    first = {spec.name: next(iter(spec.sizes))} if spec.sizes else {}
    return {**first, **{f"{spec.name}_{size}": size for size in spec.sizes}}


class ValidatedPlugin(NamedTuple):
    """A plugin that passed every check."""

    module: ModuleType
    manager: pluggy.PluginManager
    api: tuple[int, int]
    specs: dict[str, list[Spec]]


def validate_plugin(record: PluginRecord) -> ValidatedPlugin:
    """Import a plugin and look at everything it brings, in a manager of its own."""
    # What a plugin prints on import must not end up in the answer of the command that imports it.
    with contextlib.redirect_stdout(sys.stderr):
        module = importlib.import_module(record.module)
    if not isinstance(module, ModuleType):
        raise PluginError(
            f"{record.module} put a {type(module).__name__} in its own place", hint="leave the module alone"
        )
    api = api_of(module)
    if api is None:
        stated = vars(module).get("zoo_api", "nothing")
        hint = f"write zoo_api = {HOOK_API}, the version of the hook contract that the plugin was written against"
        raise PluginError(f"{record.module}: zoo_api is missing or wrong, it is {stated!r}", hint=hint)
    if mismatch := mismatch_of(api):
        raise PluginError(mismatch)
    manager = _registered(module, record.name)
    defaults = _defaults(module)
    return ValidatedPlugin(module, manager, api, {kind: _listed(manager, kind, defaults) for kind in KINDS})


def api_of(module: object) -> tuple[int, int] | None:
    """The hook API that an imported plugin states; None where it states none or nonsense."""
    api = vars(module).get("zoo_api") if isinstance(module, ModuleType) else None
    if isinstance(api, tuple) and len(api) == 2 and all(type(part) is int for part in api):
        return int(api[0]), int(api[1])
    return None


def mismatch_of(api: tuple[int, int]) -> str:
    """Why a plugin of that hook API can't run here; empty if it can."""
    if api[0] == HOOK_API[0] and api[1] <= HOOK_API[1]:
        return ""
    versions = f"it was written for hook API {api[0]}.{api[1]} and this core has {HOOK_API[0]}.{HOOK_API[1]}"
    if api > HOOK_API:
        return f"{versions}; pip install --upgrade {CORE}"
    return f"{versions}; install a newer release of it" + (
        f", or change {_SINCE_1} (docs/migrating.md)" if api[0] == 1 else ""
    )


_SINCE_1 = (
    "what it imports (public packages only), Task.step and Task.evaluate (a last argument `at`, an EvaluationResult), tasks that "
    "only answer (Predictor) and observer hooks (one argument `event`)"
)
"""What a plugin of the first hook API has to change."""


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
    """The hook is a plain function, which pluggy calls as its author expects. Raises `PluginError`."""
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


def _defaults(module: ModuleType) -> dict[str, Any]:
    """What a plugin says once for all its specs, by field."""
    defaults = vars(module).get("zoo_defaults", {})
    known = {each.name for _, wanted in KINDS.values() for each in fields(wanted)} - {"name", "target"}
    if not isinstance(defaults, dict) or (unknown := [name for name in defaults if name not in known]):
        found = repr(unknown[0]) if isinstance(defaults, dict) else f"a {type(defaults).__name__}"
        raise PluginError(f"zoo_defaults: expected fields of specs with their values, found {found}")
    return defaults


def _listed(manager: pluggy.PluginManager, kind: str, defaults: Mapping[str, Any]) -> list[Spec]:
    """What a plugin brings of one kind, checked; fields that say no more than by default have the plugin's defaults."""
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
            missing = {each.name for each in fields(spec) if each.name in defaults and _unsaid(each, spec)}
            specs.append(replace(spec, **{name: defaults[name] for name in missing}) if missing else spec)
    names = Counter(
        name for spec in specs for name in (_model_names(spec) if isinstance(spec, ModelSpec) else [spec.name])
    )
    if twice := [name for name, count in names.items() if count > 1]:
        raise PluginError(f"{hook} lists {', '.join(map(repr, twice))} more than once", hint="give each its own name")
    return specs


def _unsaid(each: Field[Any], spec: Spec) -> bool:
    value = getattr(spec, each.name)
    return not value or value == each.default


def _model_names(spec: ModelSpec) -> dict[str, str]:
    """`model_names` of a family whose names can stand in a checkpoint's name, where '.' begins the recipe."""
    if not (spec.sizes or spec.names):
        hint = "name at least one, the first is the default; or say where its names come from"
        raise PluginError(f"model {spec.name!r} has no sizes", hint=hint)
    for word in (spec.name, *spec.sizes):
        if not _CARD_WORD.fullmatch(word):
            raise PluginError(f"model {spec.name!r}: {word!r} can't be part of a checkpoint's name, use [a-z0-9_-]")
    return model_names(spec)


def cause_of(error: BaseException, module: str) -> str:
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


def _line(function: Any) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"

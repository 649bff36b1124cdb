"""A plugin-based, multimodal model zoo. Importing this imports nothing else; each name loads its module on first use."""

from __future__ import annotations

# Not typing's own: an interruption while typing is imported here is one that nobody can answer yet.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zoo_core.build import Adaptation as Adaptation
    from zoo_core.errors import ArchMismatch as ArchMismatch
    from zoo_core.errors import CorruptFile as CorruptFile
    from zoo_core.errors import DataError as DataError
    from zoo_core.errors import RecipeError as RecipeError
    from zoo_core.errors import UsageError as UsageError
    from zoo_core.errors import ZooError as ZooError
    from zoo_core.factory import Loaded as Loaded
    from zoo_core.factory import create_model as create_model
    from zoo_core.factory import evaluate as evaluate
    from zoo_core.factory import list_models as list_models
    from zoo_core.factory import load as load
    from zoo_core.factory import open_zoo as open_zoo
    from zoo_core.factory import pipeline as pipeline
    from zoo_core.factory import resume as resume
    from zoo_core.factory import train as train
    from zoo_core.fetch import Fetcher as Fetcher
    from zoo_core.hookspecs import hookimpl as hookimpl
    from zoo_core.recipe import load_recipe as load_recipe
    from zoo_core.specs import DataSpec as DataSpec
    from zoo_core.specs import Head as Head
    from zoo_core.specs import LossSpec as LossSpec
    from zoo_core.specs import ModelSpec as ModelSpec
    from zoo_core.specs import NoConfig as NoConfig
    from zoo_core.specs import OptimizerSpec as OptimizerSpec
    from zoo_core.specs import RunInfo as RunInfo
    from zoo_core.specs import TaskSpec as TaskSpec
    from zoo_core.tables import read_lines as read_lines
    from zoo_core.tables import read_table as read_table
    from zoo_core.training.optim import LayerGroups as LayerGroups
    from zoo_core.training.task import Batch as Batch
    from zoo_core.training.task import Data as Data
    from zoo_core.training.task import Dataset as Dataset
    from zoo_core.training.task import Foreign as Foreign
    from zoo_core.training.task import Interop as Interop
    from zoo_core.training.task import Phase as Phase
    from zoo_core.training.task import Preprocessor as Preprocessor
    from zoo_core.training.task import SampleKey as SampleKey
    from zoo_core.training.task import StepOutput as StepOutput
    from zoo_core.training.task import Task as Task
    from zoo_core.training.task import TaskContext as TaskContext
    from zoo_core.upkeep import collect_garbage as collect_garbage
    from zoo_core.upkeep import remove as remove
    from zoo_core.upkeep import set_alias as set_alias

_HOMES = {
    "zoo_core.build": ("Adaptation",),
    "zoo_core.errors": ("ArchMismatch", "CorruptFile", "DataError", "RecipeError", "UsageError", "ZooError"),
    "zoo_core.factory": (
        "Loaded", "create_model", "evaluate", "list_models", "load", "open_zoo", "pipeline", "resume", "train",
    ),
    "zoo_core.fetch": ("Fetcher",),
    "zoo_core.hookspecs": ("hookimpl",),
    "zoo_core.recipe": ("load_recipe",),
    "zoo_core.specs": (
        "DataSpec", "Head", "LossSpec", "ModelSpec", "NoConfig", "OptimizerSpec", "RunInfo", "TaskSpec",
    ),
    "zoo_core.tables": ("read_lines", "read_table"),
    "zoo_core.training.optim": ("LayerGroups",),
    "zoo_core.training.task": (
        "Batch", "Data", "Dataset", "Foreign", "Interop", "Phase", "Preprocessor", "SampleKey", "StepOutput", "Task",
        "TaskContext",
    ),
    "zoo_core.upkeep": ("collect_garbage", "remove", "set_alias"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

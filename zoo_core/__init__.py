"""A plugin-based, multimodal model zoo. Importing this imports nothing else; each name loads its module on first use."""

from __future__ import annotations

# Not typing's own: an interruption while typing is imported here is one that nobody can answer yet.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zoo_core.api import create_model as create_model
    from zoo_core.api import evaluate as evaluate
    from zoo_core.api import export as export
    from zoo_core.api import import_checkpoint as import_checkpoint
    from zoo_core.api import import_folder as import_folder
    from zoo_core.api import import_packaged as import_packaged
    from zoo_core.api import list_models as list_models
    from zoo_core.api import load as load
    from zoo_core.api import pipeline as pipeline
    from zoo_core.api import resume as resume
    from zoo_core.api import train as train
    from zoo_core.config.loading import Loaded as Loaded
    from zoo_core.config.recipe import Recipe as Recipe
    from zoo_core.config.recipe import load_recipe as load_recipe
    from zoo_core.contract.data import Batch as Batch
    from zoo_core.contract.data import Data as Data
    from zoo_core.contract.data import Dataset as Dataset
    from zoo_core.contract.data import SampleKey as SampleKey
    from zoo_core.contract.hookspecs import hookimpl as hookimpl
    from zoo_core.contract.interop import ForeignCheckpoint as ForeignCheckpoint
    from zoo_core.contract.interop import Interop as Interop
    from zoo_core.contract.predictor import TaskContext as TaskContext
    from zoo_core.contract.preprocessor import CompositePreprocessor as CompositePreprocessor
    from zoo_core.contract.preprocessor import Preprocessor as Preprocessor
    from zoo_core.contract.specs import AdapterSpec as AdapterSpec
    from zoo_core.contract.specs import DataSpec as DataSpec
    from zoo_core.contract.specs import ExporterSpec as ExporterSpec
    from zoo_core.contract.specs import Head as Head
    from zoo_core.contract.specs import InterfaceSpec as InterfaceSpec
    from zoo_core.contract.specs import LoggerSpec as LoggerSpec
    from zoo_core.contract.specs import LossSpec as LossSpec
    from zoo_core.contract.specs import ModelSpec as ModelSpec
    from zoo_core.contract.specs import NoConfig as NoConfig
    from zoo_core.contract.specs import OptimizerSpec as OptimizerSpec
    from zoo_core.contract.specs import RunInfo as RunInfo
    from zoo_core.contract.specs import SamplerSpec as SamplerSpec
    from zoo_core.contract.specs import SampleType as SampleType
    from zoo_core.contract.specs import ScheduleSpec as ScheduleSpec
    from zoo_core.contract.specs import TaskSpec as TaskSpec
    from zoo_core.contract.task import Phase as Phase
    from zoo_core.contract.task import StepOutput as StepOutput
    from zoo_core.contract.task import Task as Task
    from zoo_core.data.fetch import Fetcher as Fetcher
    from zoo_core.errors import ArchMismatch as ArchMismatch
    from zoo_core.errors import CardError as CardError
    from zoo_core.errors import CorruptFile as CorruptFile
    from zoo_core.errors import DataError as DataError
    from zoo_core.errors import DigestMismatch as DigestMismatch
    from zoo_core.errors import PluginError as PluginError
    from zoo_core.errors import RecipeError as RecipeError
    from zoo_core.errors import StoreError as StoreError
    from zoo_core.errors import TrainingError as TrainingError
    from zoo_core.errors import UnknownName as UnknownName
    from zoo_core.errors import UnsafeFormat as UnsafeFormat
    from zoo_core.errors import UsageError as UsageError
    from zoo_core.errors import ZooError as ZooError
    from zoo_core.errors import nearest as nearest
    from zoo_core.errors import printable as printable
    from zoo_core.models.adapters import Adapter as Adapter
    from zoo_core.models.build import Adaptation as Adaptation
    from zoo_core.models.build import builder_for as builder_for
    from zoo_core.models.build import parameters_on_meta as parameters_on_meta
    from zoo_core.models.exporters import Exporter as Exporter
    from zoo_core.models.exporters import ExportSource as ExportSource
    from zoo_core.plugins.fetched import fetch_data as fetch_data
    from zoo_core.registry.card import Card as Card
    from zoo_core.registry.checkpoint import open_checkpoint as open_checkpoint
    from zoo_core.registry.convert import PackagedWeights as PackagedWeights
    from zoo_core.registry.convert import read_state_dict as read_state_dict
    from zoo_core.registry.records import Metric as Metric
    from zoo_core.registry.upkeep import collect_garbage as collect_garbage
    from zoo_core.registry.upkeep import remove as remove
    from zoo_core.registry.upkeep import set_alias as set_alias
    from zoo_core.registry.zoo import Zoo as Zoo
    from zoo_core.registry.zoo import open_zoo as open_zoo
    from zoo_core.runs.measure import Evaluation as Evaluation
    from zoo_core.training.optim import LayerGroups as LayerGroups


def names_of(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package that gives out names of other modules, each imported on first use.

    The one list of them is what type checkers read: the lines `from module import name as name` of the package's `file`.
    """
    import sys

    loader: Any = sys.modules[package].__spec__.loader  # type: ignore[union-attr]
    module_of: dict[str, str] = {}
    # Not open(): a package may lie in a zip archive.
    for line in loader.get_data(file).decode().splitlines():
        match line.split():
            case ["from", module, "import", name, "as", _]:
                module_of[name] = module

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        home = importlib.import_module(module_of[name])
        # A name that a folder gives out may be a whole module of it.
        return getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{module_of[name]}.{name}")

    return find, lambda: sorted(module_of), sorted(module_of)


__getattr__, __dir__, __all__ = names_of(__name__, __file__)
__version__ = "0.1.0"

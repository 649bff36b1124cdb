"""What a plugin is written against: contracts and the small checks that every plugin shares.

Nothing here reads a disk or knows a modality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_core.contract.answers import File as File
    from zoo_core.contract.config import WHEN_SET as WHEN_SET
    from zoo_core.contract.config import Alias as Alias
    from zoo_core.contract.config import Config as Config
    from zoo_core.contract.config import Constraint as Constraint
    from zoo_core.contract.config import FieldError as FieldError
    from zoo_core.contract.config import Interval as Interval
    from zoo_core.contract.config import Layers as Layers
    from zoo_core.contract.config import Matches as Matches
    from zoo_core.contract.config import MinLen as MinLen
    from zoo_core.contract.config import MultipleOf as MultipleOf
    from zoo_core.contract.config import NonNegativeFloat as NonNegativeFloat
    from zoo_core.contract.config import NonNegativeInt as NonNegativeInt
    from zoo_core.contract.config import PositiveFloat as PositiveFloat
    from zoo_core.contract.config import PositiveInt as PositiveInt
    from zoo_core.contract.config import ProperShare as ProperShare
    from zoo_core.contract.config import Seed as Seed
    from zoo_core.contract.config import Share as Share
    from zoo_core.contract.config import Size as Size
    from zoo_core.contract.config import Sizes as Sizes
    from zoo_core.contract.config import StageLayers as StageLayers
    from zoo_core.contract.config import Within as Within
    from zoo_core.contract.config import present_names as present_names
    from zoo_core.contract.data import Batch as Batch
    from zoo_core.contract.data import Data as Data
    from zoo_core.contract.data import DataContext as DataContext
    from zoo_core.contract.data import Dataset as Dataset
    from zoo_core.contract.data import Portion as Portion
    from zoo_core.contract.data import SampleKey as SampleKey
    from zoo_core.contract.events import CheckpointSaved as CheckpointSaved
    from zoo_core.contract.events import Logger as Logger
    from zoo_core.contract.events import Reporter as Reporter
    from zoo_core.contract.events import RunEnded as RunEnded
    from zoo_core.contract.events import RunEvent as RunEvent
    from zoo_core.contract.events import RunStarted as RunStarted
    from zoo_core.contract.events import SilentReporter as SilentReporter
    from zoo_core.contract.events import StepLogged as StepLogged
    from zoo_core.contract.hookspecs import Observers as Observers
    from zoo_core.contract.hookspecs import Providers as Providers
    from zoo_core.contract.hookspecs import hookimpl as hookimpl
    from zoo_core.contract.interop import FieldRules as FieldRules
    from zoo_core.contract.interop import ForeignCheckpoint as ForeignCheckpoint
    from zoo_core.contract.interop import Interop as Interop
    from zoo_core.contract.interop import KeyTable as KeyTable
    from zoo_core.contract.interop import changed_settings as changed_settings
    from zoo_core.contract.interop import distinct_labels as distinct_labels
    from zoo_core.contract.interop import json_file as json_file
    from zoo_core.contract.interop import numbered_labels as numbered_labels
    from zoo_core.contract.interop import problem_task as problem_task
    from zoo_core.contract.interop import read_json as read_json
    from zoo_core.contract.interop import read_object as read_object
    from zoo_core.contract.interop import stored_settings as stored_settings
    from zoo_core.contract.interop import unsupported as unsupported
    from zoo_core.contract.libraries import panics_as as panics_as
    from zoo_core.contract.libraries import refuse_slow as refuse_slow
    from zoo_core.contract.predictor import Loss as Loss
    from zoo_core.contract.predictor import OpenedCheckpoint as OpenedCheckpoint
    from zoo_core.contract.predictor import Predictor as Predictor
    from zoo_core.contract.predictor import TaskContext as TaskContext
    from zoo_core.contract.predictor import inference_mode as inference_mode
    from zoo_core.contract.preprocessor import CompositePreprocessor as CompositePreprocessor
    from zoo_core.contract.preprocessor import Preprocessor as Preprocessor
    from zoo_core.contract.schema import from_data as from_data
    from zoo_core.contract.schema import to_data as to_data
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
    from zoo_core.contract.task import At as At
    from zoo_core.contract.task import Baseline as Baseline
    from zoo_core.contract.task import EvaluationResult as EvaluationResult
    from zoo_core.contract.task import Phase as Phase
    from zoo_core.contract.task import StepOutput as StepOutput
    from zoo_core.contract.task import Task as Task
    from zoo_core.contract.task import as_task as as_task
    from zoo_core.contract.task import move as move
    from zoo_core.contract.task import output_of as output_of
    from zoo_core.contract.yamltext import parse_yaml as parse_yaml
    from zoo_core.storage.budgets import LAYERS as LAYERS
    from zoo_core.storage.budgets import SIZE as SIZE

__getattr__, __dir__, __all__ = names_of(__name__, __file__)

"""What proofs need: disks that fail, plugins made on the spot, a hub of one's own, gradients, and the parts of a run by themselves.

The product never imports it; what is given out here may change with any version, unlike the other public packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_core.cli.progress import PlainReporter as PlainReporter
    from zoo_core.config.components import open_data as open_data
    from zoo_core.config.finetune import finetune_recipe as finetune_recipe
    from zoo_core.config.settings import Training as Training
    from zoo_core.config.shipped import shipped_recipes as shipped_recipes
    from zoo_core.data.archives import read_archive as read_archive
    from zoo_core.data.tables.parquet import parquet_rows as parquet_rows
    from zoo_core.data.tables.parquet import parquet_schema as parquet_schema
    from zoo_core.models import build as build
    from zoo_core.models.build import parameter_count as parameter_count
    from zoo_core.models.build import weights as weights
    from zoo_core.plugins.configs import CrossEntropyConfig as CrossEntropyConfig
    from zoo_core.plugins.host import PluginHost as PluginHost
    from zoo_core.plugins.host import RegisteredComponent as RegisteredComponent
    from zoo_core.preflight.claim import newest_run as newest_run
    from zoo_core.preflight.identity import FREE as FREE
    from zoo_core.preflight.setup import RunComponents as RunComponents
    from zoo_core.preflight.setup import prepare as prepare
    from zoo_core.registry.card import parse_card as parse_card
    from zoo_core.registry.card import valid_name as valid_name
    from zoo_core.registry.catalogue import find_catalogue as find_catalogue
    from zoo_core.registry.catalogue import read_registry as read_registry
    from zoo_core.registry.catalogue import write_registry as write_registry
    from zoo_core.registry.checkpoint import write_folder as write_folder
    from zoo_core.registry.convert import packaged_checkpoints as packaged_checkpoints
    from zoo_core.registry.foreign import INDEX as INDEX
    from zoo_core.registry.foreign import ForeignFolder as ForeignFolder
    from zoo_core.registry.layers import Entry as Entry
    from zoo_core.registry.verdicts import NO_DIFFERENCE as NO_DIFFERENCE
    from zoo_core.registry.verdicts import Direction as Direction
    from zoo_core.registry.verdicts import verdict as verdict
    from zoo_core.registry.verdicts import verdicts as verdicts
    from zoo_core.runs.folder import RunFolder as RunFolder
    from zoo_core.runs.folder import final_digest as final_digest
    from zoo_core.runs.measure import rows_to_measure as rows_to_measure
    from zoo_core.runs.run import Run as Run
    from zoo_core.storage import fs as fs
    from zoo_core.storage import tensors as tensors
    from zoo_core.storage.environment import describe_environment as describe_environment
    from zoo_core.tasks.evaluate import evaluate as evaluate
    from zoo_core.tasks.evaluate import gathered as gathered
    from zoo_core.tasks.evaluate import intervals as intervals
    from zoo_core.testing.dealt import first_gradients as first_gradients
    from zoo_core.testing.dealt import gradient_difference as gradient_difference
    from zoo_core.testing.hubs import local_hub as local_hub
    from zoo_core.testing.processes import killed_run as killed_run
    from zoo_core.testing.processes import peak_memory as peak_memory
    from zoo_core.testing.sites import on_path as on_path
    from zoo_core.testing.sites import write_plugin as write_plugin
    from zoo_core.training import optim as optim
    from zoo_core.training import state as state
    from zoo_core.training.hardware import Hardware as Hardware
    from zoo_core.training.hardware import torch_settings as torch_settings
    from zoo_core.training.loop import Loop as Loop
    from zoo_core.training.loop import StepResult as StepResult
    from zoo_core.training.order import BatchPlan as BatchPlan
    from zoo_core.training.order import Cursor as Cursor
    from zoo_core.training.order import GlobalBatch as GlobalBatch
    from zoo_core.training.order import evaluation_batches as evaluation_batches
    from zoo_core.training.order import training_batches as training_batches
    from zoo_core.training.randomness import key as key
    from zoo_core.training.randomness import reseed as reseed
    from zoo_core.training.signals import Interrupted as Interrupted
    from zoo_core.training.signals import signal_handler as signal_handler

__getattr__, __dir__, __all__ = names_of(__name__, __file__)

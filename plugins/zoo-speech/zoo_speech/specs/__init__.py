"""What the plugin registers, as data: names, summaries, targets and settings. Free of torch."""

from zoo_speech.specs.data import DATA
from zoo_speech.specs.losses import LOSSES
from zoo_speech.specs.models import MODELS
from zoo_speech.specs.tasks import INTERFACES, SUFFIXES, TASKS

__all__ = ["DATA", "INTERFACES", "LOSSES", "MODELS", "SUFFIXES", "TASKS"]

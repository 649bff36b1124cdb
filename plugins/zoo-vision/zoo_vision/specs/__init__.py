"""What the plugin registers, as data: names, summaries, targets and settings. Free of torch."""

from zoo_vision.specs.data import DATA
from zoo_vision.specs.losses import LOSSES
from zoo_vision.specs.models import MODELS
from zoo_vision.specs.tasks import INTERFACES, TASKS

__all__ = ["DATA", "INTERFACES", "LOSSES", "MODELS", "TASKS"]

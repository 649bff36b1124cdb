"""What the plugin registers, as data: names, summaries, targets and settings. Free of torch."""

from zoo_nlp.specs.data import DATA
from zoo_nlp.specs.models import MODELS
from zoo_nlp.specs.tasks import INTERFACES, TASKS

__all__ = ["DATA", "INTERFACES", "MODELS", "TASKS"]

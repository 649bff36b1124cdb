"""What tasks share: base classes, losses, metrics of classifiers, intervals over samples, baselines, the evaluation of a split.

What a task is stands in `contract`; nothing here trains or knows a modality.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_core.tasks.baselines import figures_of as figures_of
    from zoo_core.tasks.bootstrap import Floats as Floats
    from zoo_core.tasks.bootstrap import interval_of_mean as interval_of_mean
    from zoo_core.tasks.bootstrap import interval_of_ratio as interval_of_ratio
    from zoo_core.tasks.bootstrap import interval_of_share as interval_of_share
    from zoo_core.tasks.bootstrap import interval_of_sums as interval_of_sums
    from zoo_core.tasks.bootstrap import known_intervals as known_intervals
    from zoo_core.tasks.classify import class_scores as class_scores
    from zoo_core.tasks.classify import label_numbers as label_numbers
    from zoo_core.tasks.classify import label_scores as label_scores
    from zoo_core.tasks.classify import majority as majority
    from zoo_core.tasks.classify import ranked_answer as ranked_answer
    from zoo_core.tasks.confusion import Confusion as Confusion
    from zoo_core.tasks.drawing import INK as INK
    from zoo_core.tasks.drawing import drawable as drawable
    from zoo_core.tasks.drawing import figure_png as figure_png
    from zoo_core.tasks.drawing import font_file as font_file
    from zoo_core.tasks.drawing import new_figure as new_figure
    from zoo_core.tasks.drawing import shortened as shortened
    from zoo_core.tasks.drawing import text_style as text_style
    from zoo_core.tasks.embedding import EmbeddingPredictor as EmbeddingPredictor
    from zoo_core.tasks.embedding import EmbeddingTask as EmbeddingTask
    from zoo_core.tasks.embedding import PairResult as PairResult
    from zoo_core.tasks.encoded import EncodedDataset as EncodedDataset
    from zoo_core.tasks.encoded import collated as collated
    from zoo_core.tasks.generation import GenerationTask as GenerationTask
    from zoo_core.tasks.generation import Pieces as Pieces
    from zoo_core.tasks.generation import loss_and_perplexity as loss_and_perplexity
    from zoo_core.tasks.generation import perplexity as perplexity
    from zoo_core.tasks.generation import streamed as streamed
    from zoo_core.tasks.generation import written as written
    from zoo_core.tasks.heads import ClassificationTask as ClassificationTask
    from zoo_core.tasks.heads import HeadPredictor as HeadPredictor
    from zoo_core.tasks.heads import MultiLabelPredictor as MultiLabelPredictor
    from zoo_core.tasks.heads import RegressionPredictor as RegressionPredictor
    from zoo_core.tasks.heads import RegressionTask as RegressionTask
    from zoo_core.tasks.losses import count as count
    from zoo_core.tasks.losses import cross_entropy as cross_entropy
    from zoo_core.tasks.losses import precise as precise
    from zoo_core.tasks.regress import regression_scores as regression_scores
    from zoo_core.tasks.results import ClassResult as ClassResult
    from zoo_core.tasks.results import LossResult as LossResult
    from zoo_core.tasks.results import ValueResult as ValueResult

__getattr__, __dir__, __all__ = names_of(__name__, __file__)

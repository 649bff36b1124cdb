"""What is measured on text: perplexity, accuracy and F1 from counts, BLEU, chrF and ROUGE from texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def classification(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and macro-F1 of a confusion matrix (true class, predicted class), as scikit-learn computes them.

    A class that never occurs has F1 0.
    """
    from sklearn.metrics import accuracy_score, f1_score

    true, predicted = np.indices(confusion.shape).reshape(2, -1)
    counts = confusion.ravel()
    f1 = f1_score(true, predicted, sample_weight=counts, average="macro", zero_division=0.0)
    return {"accuracy": float(accuracy_score(true, predicted, sample_weight=counts)), "macro_f1": float(f1)}


def translation(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU (Papineni et al., 2002) and chrF (Popović, 2015), 0 to 100, as sacrebleu computes them."""
    import sacrebleu

    found, expected = list(hypotheses), [list(references)]
    return {
        "bleu": float(sacrebleu.corpus_bleu(found, expected).score),
        "chrf": float(sacrebleu.corpus_chrf(found, expected).score),
    }


def summarization(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE-1, -2 and -L (Lin, 2004), F-measures from 0 to 100, as torchmetrics computes them."""
    # Seconds of import, so only where it is needed.
    from torchmetrics.functional.text.rouge import rouge_score

    keys = ("rouge1", "rouge2", "rougeL")
    scores = rouge_score(list(hypotheses), list(references), rouge_keys=keys)
    return {key: 100 * float(scores[f"{key}_fmeasure"]) for key in keys}

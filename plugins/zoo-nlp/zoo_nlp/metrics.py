"""What is measured on text: perplexity, BLEU, chrF and ROUGE from texts."""

from __future__ import annotations

import math
from collections.abc import Sequence


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


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

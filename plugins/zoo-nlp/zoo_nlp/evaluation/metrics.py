"""What is measured on text, whatever its script: BLEU, chrF and ROUGE from texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np
import regex

from zoo_core.tasks import Floats, interval_of_mean, interval_of_sums, known_intervals

# Scripts that put no space between words: there, a character with its marks is the unit.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNIT = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|(?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}])+")
_LETTER = regex.compile(r"\p{L}")
_HAN = regex.compile(r"\p{Han}")
_OTHER_UNSPACED = regex.compile(rf"(?!\p{{Han}})[{_UNSPACED}]")


def translation(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU (Papineni et al., 2002) and chrF (Popović, 2015), 0 to 100, as sacrebleu computes them.

    BLEU is `bleu` with sacrebleu's usual tokenizer (13a), and `bleu_zh` or `bleu_char` where `bleu_tokenizer` says so: a
    figure of one tokenizer compares with no figure of another.
    """
    import sacrebleu

    found, expected = list(hypotheses), [list(references)]
    tokenizer = bleu_tokenizer(references)
    return {
        _bleu_name(tokenizer): float(sacrebleu.corpus_bleu(found, expected, tokenize=tokenizer).score),
        "chrf": float(sacrebleu.corpus_chrf(found, expected).score),
    }


def translation_intervals(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The bootstrap interval of BLEU over sentences; chrF has none, whose sums sacrebleu keeps to itself."""
    name = _bleu_name(bleu_tokenizer(references))
    sums = bleu_sums(hypotheses, references)
    return known_intervals({name: interval_of_sums(sums, lambda rows: np.array([bleu_of(row) for row in rows]))})


def _bleu_name(tokenizer: str) -> str:
    return "bleu" if tokenizer == "13a" else f"bleu_{tokenizer}"


def bleu_sums(hypotheses: Sequence[str], references: Sequence[str]) -> Floats:
    """(N, 10) for each sentence: n-grams that match and n-grams there are, both for n of 1 to 4, and both lengths."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize=bleu_tokenizer(references), effective_order=True)
    scores = [bleu.sentence_score(found, [due]) for found, due in zip(hypotheses, references, strict=True)]
    rows = [[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in scores]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 10)


def bleu_of(sums: Floats) -> float:
    """Corpus BLEU of sentences whose `bleu_sums` add up to these (10,)."""
    from sacrebleu.metrics.bleu import BLEU

    whole = [round(value) for value in sums]
    return float(BLEU.compute_bleu(whole[:4], whole[4:8], whole[8], whole[9], smooth_method="exp").score)


def bleu_tokenizer(references: Sequence[str]) -> Literal["13a", "zh", "char"]:
    """sacrebleu's tokenizer for the script of most letters: `zh` for Chinese, `char` for Japanese, Thai, Lao, Khmer,
    Burmese and Tibetan, which put no spaces between words either, `13a` for all others."""
    text = "".join(references)
    letters, han, unspaced = (len(pattern.findall(text)) for pattern in (_LETTER, _HAN, _OTHER_UNSPACED))
    if han + unspaced <= letters / 2:
        return "13a"
    # Japanese writes Han between its own signs; Chinese has none of these.
    return "char" if unspaced > han / 10 else "zh"


def summarization(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE-1, -2 and -L (Lin, 2004), F-measures from 0 to 100, as torchmetrics computes them over `words`."""
    # Seconds of import, so only where it is needed.
    from torchmetrics.functional.text.rouge import rouge_score

    keys = ("rouge1", "rouge2", "rougeL")
    scores = rouge_score(list(hypotheses), list(references), rouge_keys=keys, normalizer=_folded, tokenizer=words)
    return {key: 100 * float(scores[f"{key}_fmeasure"]) for key in keys}


def summarization_intervals(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of ROUGE over texts, whose mean it is."""
    each = [summarization([found], [due]) for found, due in zip(hypotheses, references, strict=True)]
    return known_intervals(
        {name: interval_of_mean([scores[name] for scores in each]) for name in (each[0] if each else {})}
    )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())


def words(text: str) -> list[str]:
    """Runs of letters, marks and digits; in scripts without spaces between words, one unit for each character."""
    return list(_UNIT.findall(text))

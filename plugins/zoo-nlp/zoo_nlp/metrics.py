"""What is measured on text, whatever its script: perplexity, BLEU, chrF and ROUGE from texts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Literal

import regex

# Scripts that put no space between words: there, a character with its marks is the unit.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNIT = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|(?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}])+")
_LETTER = regex.compile(r"\p{L}")
_HAN = regex.compile(r"\p{Han}")
_OTHER_UNSPACED = regex.compile(rf"(?!\p{{Han}})[{_UNSPACED}]")


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def translation(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU (Papineni et al., 2002) and chrF (Popović, 2015), 0 to 100, as sacrebleu computes them.

    BLEU is `bleu` with sacrebleu's usual tokenizer (13a), and `bleu_zh` or `bleu_char` where `bleu_tokenizer` says so: a
    figure of one tokenizer compares with no figure of another.
    """
    import sacrebleu

    found, expected = list(hypotheses), [list(references)]
    tokenizer = bleu_tokenizer(references)
    name = "bleu" if tokenizer == "13a" else f"bleu_{tokenizer}"
    return {
        name: float(sacrebleu.corpus_bleu(found, expected, tokenize=tokenizer).score),
        "chrf": float(sacrebleu.corpus_chrf(found, expected).score),
    }


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


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())


def words(text: str) -> list[str]:
    """Runs of letters, marks and digits; in scripts without spaces between words, one unit for each character."""
    return list(_UNIT.findall(text))

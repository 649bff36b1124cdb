"""What is known of the fields of Transformers' `config.json`, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import FieldRules, numbered_labels

MAX_LABELS = 1_000_000
"""Labels of a folder that names none."""
WORDS = ("single_label_classification", "multi_label_classification", "regression")
"""Theirs for what a classifier's outputs are."""


def names(text: str) -> frozenset[str]:
    """Names with blanks between them."""
    return frozenset(text.split())


STORED = names("""
    transformers_version output_hidden_states output_attentions output_scores return_dict return_dict_in_generate torchscript
    use_bfloat16 use_cache initializer_range init_std dtype torch_dtype chunk_size_feed_forward label2id num_labels
    finetuning_task gradient_checkpointing cross_attention_hidden_size prefix tokenizer_class bos_token_id sep_token_id decoder
    encoder function_to_apply attn_implementation processor_class is_encoder_decoder
""")
"""How things are computed, stored or trained."""
GENERATION = names("""
    bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size
    exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length max_new_tokens min_length
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences remove_invalid_values renormalize_logits
    repetition_penalty suppress_tokens task_specific_params temperature top_k top_p typical_p
""")
"""How text is written, which options of a prediction say here."""


def config_rules(
    model_type: str,
    fields: Mapping[str, str],
    *,
    read: str = "",
    fixed: Mapping[str, tuple[Any, ...]] | None = None,
    harmless: str = "",
    advice: Mapping[str, str] | None = None,
) -> FieldRules:
    """The rules of a family's `config.json`.

    Args:
        model_type: their name of the family.
        fields: our fields and theirs, as `TransformersInterop.fields`.
        read: further fields that are read, with blanks between them.
        fixed: values that alone are supported, the usual one first.
        harmless: further fields that change no answer, with blanks between them.
        advice: what to ask for in place of a field, unless it is among the others.
    """
    common: dict[str, tuple[Any, ...]] = {
        "model_type": (model_type,),
        "quantization_config": (None,),
        "pruned_heads": ({}, None),
    }
    known = names("architectures id2label problem_type license") | names(" ".join(fields.values())) | names(read)
    unchanged = (STORED | names(harmless)) - known - {*(fixed or {})}
    others = {*known, *unchanged, *(fixed or {})}
    return FieldRules(
        file="config.json",
        read=known,
        fixed={**common, **(fixed or {})},
        harmless=unchanged,
        advice={name: instead for name, instead in (advice or {}).items() if name not in others},
    )


def ours_of(fields: Mapping[str, str], theirs: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ours with the values of a `config.json`; `usual` has those of a model that nobody described.

    Raises `CorruptFile` for what is no number, `UsageError` for fields of theirs that are one here and differ.
    """
    config: dict[str, Any] = {}
    for ours, several in fields.items():
        first, *others = several.split()
        value = theirs.get(first)
        if isinstance(usual.get(first), list | tuple):
            value = whole_numbers(value, f"config.json: {first}")
        elif type(value) not in (int, float):
            raise CorruptFile(f"config.json: {first}: expected a number, found {value!r:.80}")
        for other in others:
            if theirs.get(other) != theirs[first]:
                raise UsageError(f"config.json: {first} and {other} differ; models have one value for both here")
        config[ours] = value
    return config


def whole_numbers(values: Any, where: str) -> tuple[int, ...]:
    """A list of whole numbers. Raises `CorruptFile` for anything else."""
    if not isinstance(values, list | tuple) or not all(type(value) is int for value in values):
        raise CorruptFile(f"{where}: expected whole numbers, found {values!r:.80}")
    return tuple(values)


def labels_of(theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """A classifier's labels by number; a folder that names none has as many default ones as it says, or two.

    Raises `CorruptFile` where the numbers have gaps.
    """
    count = theirs.get("num_labels", 2)
    if "id2label" in theirs or type(count) is not int or not 0 < count <= MAX_LABELS:
        return numbered_labels(theirs.get("id2label"), "config.json: id2label")
    return tuple(f"LABEL_{number}" for number in range(count))

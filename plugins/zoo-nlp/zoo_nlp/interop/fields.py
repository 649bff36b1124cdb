"""Fields of the files that Hugging Face Transformers and Sentence Transformers write beside text models."""

from __future__ import annotations

from typing import Any

from zoo_core.contract import FieldRules

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
"""Special tokens that have a part in a model's input."""

_ANY = "the options of a prediction say how text is written here"
_GENERATION = dict.fromkeys(
    (
        "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
        "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "forced_bos_token_id",
        "forced_eos_token_id", "length_penalty", "max_length", "max_new_tokens", "min_length", "no_repeat_ngram_size",
        "num_beam_groups", "num_beams", "num_return_sequences", "remove_invalid_values", "renormalize_logits",
        "repetition_penalty", "suppress_tokens", "task_specific_params", "temperature", "top_k", "top_p", "typical_p",
    ),
    _ANY,
)  # fmt: skip
_COMMON_HARMLESS = frozenset(
    (
        "transformers_version", "output_hidden_states", "output_attentions", "output_scores", "return_dict",
        "return_dict_in_generate", "torchscript", "use_bfloat16", "use_cache", "initializer_range", "dtype",
        "torch_dtype", "chunk_size_feed_forward", "label2id", "num_labels", "finetuning_task",
        "gradient_checkpointing", "cross_attention_hidden_size", "prefix", "tokenizer_class", "bos_token_id",
        "sep_token_id", "decoder", "encoder", "function_to_apply", "attn_implementation", "license",
    )
)  # fmt: skip
"""Of any `config.json`: how things are computed, stored or trained."""
_COMMON_FIXED: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "pruned_heads": ({}, None),
    "tie_word_embeddings": (True,),
}
_COMMON_READ = frozenset(("architectures", "id2label", "problem_type"))
_CROSS_ENCODER = {"sentence_transformers": "scores here are the probabilities of the labels"}

BERT = FieldRules(
    file="config.json",
    read=_COMMON_READ
    | {
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "hidden_dropout_prob", "attention_probs_dropout_prob", "pad_token_id",
    },
    fixed={
        **_COMMON_FIXED,
        "model_type": ("bert",),
        "hidden_act": ("gelu",),
        "type_vocab_size": (2,),
        "layer_norm_eps": (1e-12,),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False,),
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
    },
    harmless=_COMMON_HARMLESS
    | {
        "classifier_dropout", "eos_token_id", "directionality", "pooler_fc_size", "pooler_num_attention_heads",
        "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    },
    advice={**_GENERATION, **_CROSS_ENCODER},
)  # fmt: skip
GPT2 = FieldRules(
    file="config.json",
    read=_COMMON_READ
    | {
        "vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "n_inner", "resid_pdrop", "attn_pdrop",
        "eos_token_id", "pad_token_id",
    },
    fixed={
        **_COMMON_FIXED,
        "model_type": ("gpt2",),
        "activation_function": ("gelu_new",),
        "layer_norm_epsilon": (1e-5,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
    },
    harmless=_COMMON_HARMLESS
    | {
        "embd_pdrop", "n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
        "summary_type", "summary_use_proj",
    },
    advice={**_GENERATION, **_CROSS_ENCODER},
)  # fmt: skip
MARIAN = FieldRules(
    file="config.json",
    read=_COMMON_READ
    | {
        "vocab_size", "decoder_vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads",
        "decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "max_position_embeddings", "dropout",
        "attention_dropout", "pad_token_id", "eos_token_id", "decoder_start_token_id",
    },
    fixed={
        **_COMMON_FIXED,
        "model_type": ("marian",),
        "activation_function": ("swish", "silu"),
        "scale_embedding": (True,),
        "share_encoder_decoder_embeddings": (True,),
        "normalize_embedding": (False,),
        "normalize_before": (False,),
        "static_position_embeddings": (True,),
        "add_bias_logits": (False,),
        "add_final_layer_norm": (False,),
        "is_encoder_decoder": (True,),
        "is_decoder": (False,),
    },
    harmless=_COMMON_HARMLESS
    | {
        "activation_dropout", "encoder_layerdrop", "decoder_layerdrop", "classif_dropout", "classifier_dropout",
        "init_std", "num_hidden_layers", "extra_pos_embeddings", "forced_eos_token_id",
    },
    advice={name: text for name, text in _GENERATION.items() if name != "forced_eos_token_id"},
)  # fmt: skip

_ROLE_FIELDS = frozenset(f"{role}_token" for role in ROLES)
_EXTRA_FIELDS = frozenset(("additional_special_tokens", "extra_special_tokens"))
TOKENIZER = FieldRules(
    file="tokenizer_config.json",
    read=_ROLE_FIELDS
    | _EXTRA_FIELDS
    | {
        "tokenizer_class", "model_max_length", "added_tokens_decoder", "do_lower_case", "strip_accents",
        "tokenize_chinese_chars", "add_prefix_space",
    },
    fixed={
        "do_basic_tokenize": (True,),
        "never_split": (None, []),
        "add_bos_token": (False,),
        "add_eos_token": (False,),
        "split_special_tokens": (False,),
        "truncation_side": ("right",),
        "wordpieces_prefix": ("##",),
        "wordpiece_prefix": ("##",),
    },
    harmless=frozenset(
        (
            "backend", "name_or_path", "processor_class", "special_tokens_map_file", "tokenizer_file", "use_fast",
            "vocab_file", "merges_file", "cache_dir", "local_files_only", "is_local", "model_input_names",
            "padding_side", "padding", "pad_token_type_id", "pad_to_multiple_of", "max_length", "stride",
            "truncation", "truncation_strategy", "verbose", "errors", "transformers_version", "init_inputs",
            "return_token_type_ids", "unk_id", "sp_model_kwargs", "source_lang", "target_lang", "separate_vocabs",
            "legacy", "spaces_between_special_tokens", "clean_text", "trim_offsets",
        )
    ),
    advice={
        "chat_template": "texts are continued as they are written",
        "clean_up_tokenization_spaces": "spaces stay as the tokenizer writes them",
    },
)  # fmt: skip
SPECIAL_TOKENS = FieldRules(file="special_tokens_map.json", read=_ROLE_FIELDS | _EXTRA_FIELDS)
GENERATION = FieldRules(
    file="generation_config.json",
    harmless=_COMMON_HARMLESS | {"eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_eos_token_id"},
    advice={name: text for name, text in _GENERATION.items() if name != "forced_eos_token_id"},
)
SENTENCES = FieldRules(
    file="sentence_bert_config.json",
    read=frozenset(("max_seq_length", "do_lower_case")),
    harmless=frozenset(("transformer_task", "model_args", "tokenizer_args", "config_args")),
)
POOLING = FieldRules(
    file="config.json",
    read=frozenset(("word_embedding_dimension", "embedding_dimension")),
    fixed={
        "pooling_mode": ("mean",),
        "pooling_mode_mean_tokens": (True,),
        **{
            f"pooling_mode_{kind}": (False,)
            for kind in ("cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
        },
    },
    harmless=frozenset(("include_prompt",)),
)
SENTENCE_TRANSFORMERS = FieldRules(
    file="config_sentence_transformers.json",
    fixed={"default_prompt_name": (None,)},
    harmless=frozenset(("__version__", "model_type", "similarity_fn_name")),
    advice={"prompts": "write them in front of the texts"},
)

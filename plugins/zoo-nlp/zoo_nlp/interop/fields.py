"""Fields of the files that Hugging Face Transformers and Sentence Transformers write beside text models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_transformers import GENERATION as WRITING
from zoo_transformers import STORED, config_rules, names

from zoo_core.contract import FieldRules

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
"""Special tokens that have a part in a model's input."""

_WRITING = dict.fromkeys(WRITING, "the options of a prediction say how text is written here")
_SCORES = {"sentence_transformers": "scores here are the probabilities of the labels"}

BERT_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_length": "max_position_embeddings",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
BERT = config_rules(
    "bert",
    BERT_FIELDS,
    read="pad_token_id",
    fixed={
        "tie_word_embeddings": (True,),
        "hidden_act": ("gelu",),
        "type_vocab_size": (2,),
        "layer_norm_eps": (1e-12,),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False,),
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
    },
    harmless="""classifier_dropout eos_token_id directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type""",
    advice={**_WRITING, **_SCORES},
)
GPT2_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "max_length": "n_positions",
    "dropout": "resid_pdrop",
    "attention_dropout": "attn_pdrop",
    "eos_id": "eos_token_id",
}
GPT2 = config_rules(
    "gpt2",
    GPT2_FIELDS,
    read="n_inner pad_token_id",
    fixed={
        "tie_word_embeddings": (True,),
        "activation_function": ("gelu_new",),
        "layer_norm_epsilon": (1e-5,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
    },
    harmless="""embd_pdrop n_ctx summary_activation summary_first_dropout summary_proj_to_labels summary_type
    summary_use_proj""",
    advice={**_WRITING, **_SCORES},
)
MARIAN_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "d_model",
    "num_layers": "encoder_layers decoder_layers",
    "num_heads": "encoder_attention_heads decoder_attention_heads",
    "intermediate_size": "encoder_ffn_dim decoder_ffn_dim",
    "max_length": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "pad_id": "pad_token_id decoder_start_token_id",
    "eos_id": "eos_token_id",
}
MARIAN = config_rules(
    "marian",
    MARIAN_FIELDS,
    read="decoder_vocab_size",
    fixed={
        "tie_word_embeddings": (True,),
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
    harmless="""activation_dropout encoder_layerdrop decoder_layerdrop classif_dropout classifier_dropout num_hidden_layers
    extra_pos_embeddings forced_eos_token_id""",
    advice=_WRITING,
)
GENERATION = FieldRules(
    file="generation_config.json",
    harmless=STORED | names("eos_token_id pad_token_id decoder_start_token_id forced_eos_token_id license"),
    advice={name: instead for name, instead in _WRITING.items() if name != "forced_eos_token_id"},
)

_TOKENS = frozenset(f"{role}_token" for role in ROLES) | names("additional_special_tokens extra_special_tokens")
TOKENIZER = FieldRules(
    file="tokenizer_config.json",
    read=_TOKENS
    | names("""
        tokenizer_class model_max_length added_tokens_decoder do_lower_case strip_accents tokenize_chinese_chars
        add_prefix_space
    """),
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
    harmless=names("""
        backend name_or_path processor_class special_tokens_map_file tokenizer_file use_fast vocab_file merges_file
        cache_dir local_files_only is_local model_input_names padding_side padding pad_token_type_id
        pad_to_multiple_of max_length stride truncation truncation_strategy verbose errors transformers_version
        init_inputs return_token_type_ids unk_id sp_model_kwargs source_lang target_lang separate_vocabs legacy
        spaces_between_special_tokens clean_text trim_offsets
    """),
    advice={
        "chat_template": "texts are continued as they are written",
        "clean_up_tokenization_spaces": "spaces stay as the tokenizer writes them",
    },
)
OF_CLASS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "BertTokenizer": {
        "do_lower_case": (True, False),
        "strip_accents": (None, True, False),
        "tokenize_chinese_chars": (True, False),
    },
    "GPT2Tokenizer": {"add_prefix_space": (False, True)},
}
"""Values of fields that mean something to one class of tokenizers alone; others have them without going by them."""
SPECIAL_TOKENS = FieldRules(file="special_tokens_map.json", read=_TOKENS)
SENTENCES = FieldRules(
    file="sentence_bert_config.json",
    read=names("max_seq_length do_lower_case"),
    harmless=names("transformer_task model_args tokenizer_args config_args"),
)
POOLING = FieldRules(
    file="config.json",
    read=names("word_embedding_dimension embedding_dimension"),
    fixed={
        "pooling_mode": ("mean",),
        "pooling_mode_mean_tokens": (True,),
        **{
            f"pooling_mode_{kind}": (False,)
            for kind in ("cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
        },
    },
    harmless=names("include_prompt"),
)
SENTENCE_TRANSFORMERS = FieldRules(
    file="config_sentence_transformers.json",
    fixed={"default_prompt_name": (None,)},
    harmless=names("__version__ model_type similarity_fn_name"),
    advice={"prompts": "write them in front of the texts"},
)

"""Fields of the files that Hugging Face Transformers writes beside speech models."""

from __future__ import annotations

from zoo_core.contract import FieldRules

_STORED = frozenset(
    (
        "transformers_version", "output_hidden_states", "output_attentions", "return_dict", "torchscript",
        "use_bfloat16", "use_cache", "initializer_range", "init_std", "dtype", "torch_dtype", "label2id",
        "num_labels", "chunk_size_feed_forward", "finetuning_task", "gradient_checkpointing", "tokenizer_class",
        "attn_implementation", "function_to_apply", "processor_class", "bos_token_id", "is_encoder_decoder",
    )
)  # fmt: skip
"""Of any `config.json`: how things are computed, stored or trained."""
_TRAINING = frozenset(
    (
        "apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks", "mask_feature_prob",
        "mask_feature_length", "mask_feature_min_masks", "activation_dropout", "mask_channel_length",
        "mask_channel_min_space", "mask_channel_other", "mask_channel_prob", "mask_channel_selection",
        "mask_time_min_space", "mask_time_other", "mask_time_selection",
    )
)  # fmt: skip
_WRITING = "answers go by the options of a prediction"
_GENERATION = dict.fromkeys(
    (
        "num_beams", "do_sample", "temperature", "top_k", "top_p", "length_penalty", "repetition_penalty",
        "no_repeat_ngram_size", "bad_words_ids", "forced_bos_token_id", "min_length", "max_new_tokens",
        "early_stopping", "task_specific_params", "prompt_ids", "compression_ratio_threshold", "logprob_threshold",
        "no_speech_threshold",
    ),
    _WRITING,
)  # fmt: skip

WHISPER = FieldRules(
    file="config.json",
    read=frozenset(
        (
            "architectures", "id2label", "problem_type", "license", "vocab_size", "num_mel_bins", "d_model",
            "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
            "encoder_ffn_dim", "decoder_ffn_dim", "max_target_positions", "max_source_positions", "dropout",
            "decoder_start_token_id", "eos_token_id", "pad_token_id", "suppress_tokens", "begin_suppress_tokens",
            "activation_function", "scale_embedding", "tie_word_embeddings", "use_weighted_layer_sum",
            "classifier_proj_size", "is_multilingual", "language", "task",
        )
    ),
    fixed={"model_type": ("whisper",), "quantization_config": (None,)},
    harmless=_STORED
    | _TRAINING
    | {
        "attention_dropout", "encoder_layerdrop", "decoder_layerdrop", "num_hidden_layers", "max_length",
        "forced_decoder_ids", "median_filter_width", "lang_to_id", "task_to_id", "no_timestamps_token_id",
        "alignment_heads", "prev_sot_token_id", "return_timestamps", "max_initial_timestamp_index",
    },
    advice=_GENERATION,
)  # fmt: skip
WHISPER_GENERATION = FieldRules(
    file="generation_config.json",
    read=frozenset(("suppress_tokens", "begin_suppress_tokens", "is_multilingual", "language", "task")),
    harmless=_STORED
    | {
        "decoder_start_token_id", "eos_token_id", "pad_token_id", "max_length", "forced_decoder_ids", "lang_to_id",
        "task_to_id", "no_timestamps_token_id", "alignment_heads", "prev_sot_token_id", "return_timestamps",
        "max_initial_timestamp_index", "median_filter_width",
    },
    advice=_GENERATION,
)  # fmt: skip
SPECTROGRAMS = FieldRules(
    file="preprocessor_config.json",
    read=frozenset(("feature_size", "sampling_rate", "hop_length", "n_fft", "chunk_length")),
    fixed={"do_normalize": (False, None), "padding_value": (0.0, None), "dither": (0.0, None)},
    harmless=frozenset(
        (
            "feature_extractor_type", "processor_class", "return_attention_mask", "padding_side", "mel_filters",
            "n_samples", "nb_max_frames",
        )
    ),
)  # fmt: skip
WAV2VEC2 = FieldRules(
    file="config.json",
    read=frozenset(
        (
            "architectures", "id2label", "problem_type", "license", "vocab_size", "hidden_size", "num_hidden_layers",
            "num_attention_heads", "intermediate_size", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
            "hidden_dropout", "attention_dropout", "layerdrop", "num_codevector_groups",
            "num_codevectors_per_group", "codevector_dim", "conv_dim", "conv_kernel", "conv_stride", "hidden_act",
            "feat_extract_activation", "layer_norm_eps", "add_adapter", "adapter_attn_dim",
            "use_weighted_layer_sum", "feat_extract_norm", "do_stable_layer_norm", "conv_bias",
            "classifier_proj_size", "proj_codevector_dim", "pad_token_id",
        )
    ),
    fixed={"model_type": ("wav2vec2",), "quantization_config": (None,)},
    harmless=_STORED
    | _TRAINING
    | {
        "feat_proj_dropout", "feat_quantizer_dropout", "final_dropout", "feat_extract_dropout",
        "num_feat_extract_layers", "contrastive_logits_temperature", "num_negatives", "diversity_loss_weight",
        "ctc_loss_reduction", "ctc_zero_infinity", "tdnn_dim", "tdnn_kernel", "tdnn_dilation", "xvector_output_dim",
        "adapter_kernel_size", "adapter_stride", "num_adapter_layers", "output_hidden_size", "eos_token_id",
        "attention_bias",
    },
)  # fmt: skip
WAVEFORMS = FieldRules(
    file="preprocessor_config.json",
    read=frozenset(("sampling_rate", "do_normalize")),
    fixed={"feature_size": (1,), "padding_value": (0.0, 0)},
    harmless=frozenset(
        ("feature_extractor_type", "processor_class", "return_attention_mask", "padding_side", "tokenizer_class")
    ),
)  # fmt: skip
SYMBOLS = FieldRules(
    file="tokenizer_config.json",
    read=frozenset(("word_delimiter_token",)),
    fixed={"do_lower_case": (False, None), "target_lang": (None,), "replace_word_delimiter_char": (" ",)},
    harmless=frozenset(
        (
            "tokenizer_class", "processor_class", "bos_token", "eos_token", "unk_token", "pad_token",
            "return_attention_mask", "do_normalize", "special_tokens_map_file", "tokenizer_file", "name_or_path",
            "clean_up_tokenization_spaces", "model_max_length", "added_tokens_decoder", "additional_special_tokens",
            "extra_special_tokens", "backend", "is_local", "local_files_only", "padding_side", "use_fast",
        )
    ),
)  # fmt: skip
